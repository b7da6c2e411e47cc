"""Statements that list what there is, and what there was: pages in the order of an index, so that each costs what it
shows.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from pp_server.core.model import FileVersion, ListedPath, ListingQuery, Page, Position, Shown, VersionStatus
from pp_server.metadata.tables import IS_HEAD, IS_LIVE, blobs, file_versions, hosts
from pp_server.wire.digest import Digest
from pp_server.wire.names import below

v = file_versions.c
h = hosts.c

_VERSIONS = sa.select(file_versions, h.host_id, h.hostname).join_from(file_versions, hosts, h.id == v.host_key)


def list_files(conn: sa.Connection, query: ListingQuery) -> Page:
    """Return one page of live files."""
    if query.after is None:
        wanted = _wanted(query)
        total = _total(conn, query, wanted)
        statement = _VERSIONS.where(*wanted).order_by(v.host_key, v.path).limit(query.limit + 1).offset(query.offset)
        versions = tuple(_version(row) for row in conn.execute(statement))
    else:
        total, versions = query.after.total, tuple(_following(conn, query, query.after))
    shown = versions[: query.limit]
    more = len(versions) > query.limit and bool(shown)
    following = Position(shown[-1].host_key, shown[-1].path, total) if more else None
    return Page(shown, total, following)


def _following(conn: sa.Connection, query: ListingQuery, after: Position) -> Iterator[FileVersion]:
    """Yield one more than a page of what comes after a position: host by host, so that each begins in an index."""
    left = query.limit + 1
    for host_key in hosts_of(conn, query):
        if host_key < after.host_key or not left:
            continue
        beyond = (after.path,) if host_key == after.host_key else None
        wanted = [*_live(query), v.host_key == host_key, *_within(query, (v.path,), beyond)]
        for row in conn.execute(_VERSIONS.where(*wanted).order_by(v.path).limit(left)):
            left -= 1
            yield _version(row)


LOOKED_AT = 20_000
Place = tuple[bytes, int]
"""A path, and where several versions of it are listed the generation of one."""

_LISTED_PATH = sa.select(
    v.host_key, h.host_id, h.hostname, v.path, v.kind, v.gen, v.sha256, v.size_bytes, v.link_target, v.mtime_ns, v.mode,
    v.uid, v.gid, v.user_name, v.group_name, v.inconsistent, v.status, v.stored_ms, v.deleted_ms,
).join_from(file_versions, hosts, h.id == v.host_key)  # fmt: skip


def hosts_of(conn: sa.Connection, query: ListingQuery) -> list[int]:
    """Return the keys of the hosts that are meant, in order."""
    return [row.id for row in conn.execute(_named(query).order_by(h.id))]


def page_of_tree(
    conn: sa.Connection, query: ListingQuery, host_key: int, after: Place | None
) -> tuple[list[ListedPath], Place | None]:
    """Return up to `query.limit` paths of one host, those beyond *after*, and where the next page begins.

    One host at a time: only so is the order that of an index, and a page costs what is on it. Where what is asked for
    may be rare, it costs no more than LOOKED_AT versions: readers are few.
    """
    order = (v.path, v.gen) if query.shown is Shown.ALL else (v.path,)
    beyond = [v.host_key == host_key, *_within(query, order, after)]
    end = None
    if query.shown is Shown.DELETED or query.at_ms is not None:
        heads_only = [IS_HEAD] if query.shown is Shown.DELETED else []
        reached = sa.select(v.path).where(*heads_only, *beyond).order_by(v.path).offset(LOOKED_AT - 1).limit(1)
        end = conn.execute(reached).scalar()
    within = [] if end is None else [v.path <= end]
    statement = _LISTED_PATH.where(*_shown(query), *beyond, *within).order_by(*order).limit(query.limit)
    found = [ListedPath._make(row) for row in conn.execute(statement)]
    if len(found) == query.limit:
        return found, (found[-1].path, found[-1].gen)
    return found, None if end is None else (end, 0)


def _wanted(query: ListingQuery) -> list[sa.ColumnElement[bool]]:
    """Return what a listing from its beginning asks for."""
    hosts_meant = [] if query.hostname is None and query.host_id is None else [v.host_key.in_(_named(query))]
    if query.kind is None:  # without the owner, who is in the hosts: his index would be taken, which has no order
        hosts_meant = [v.host_key.in_(_named(query))]
    return [*_live(query), *hosts_meant, *_within(query)]


def _live(query: ListingQuery) -> list[Any]:
    """Return what is live: of one kind by ix_file_versions_live, of all kinds by uq_file_versions_head."""
    if query.kind is None:
        return [IS_HEAD, v.status == VersionStatus.ACTIVE]
    return [IS_LIVE, v.owner_id == query.owner_id, v.kind == query.kind]


def _named(query: ListingQuery) -> sa.Select[tuple[int]]:
    named = sa.select(h.id).where(h.owner_id == query.owner_id)
    if query.hostname is not None:
        named = named.where(h.hostname == query.hostname)
    if query.host_id is not None:
        named = named.where(h.host_id == query.host_id)
    return named


def _within(
    query: ListingQuery, order: tuple[sa.ColumnElement[Any], ...] = (), after: tuple[Any, ...] | None = None
) -> list[sa.ColumnElement[bool]]:
    """Return what lies below the prefix, and beyond *after* in that order: one beginning, as an index has."""
    beyond = [] if after is None else [sa.tuple_(*order) > sa.tuple_(*map(sa.literal, after[: len(order)]))]
    if not query.path_prefix:
        return beyond
    first, last = below(query.path_prefix)
    itself = first.rstrip(b"/") or b"/"
    return [*(beyond or [v.path >= itself]), v.path < last, sa.or_(v.path == itself, v.path >= first)]


_newer = file_versions.alias("newer")
_WAS_THERE = sa.or_(v.kind != "file", v.sha256.is_not(None))
"""Not so the tombstone of what never came."""


def _shown(query: ListingQuery) -> list[Any]:
    if query.shown is Shown.ALL:
        return [_WAS_THERE]
    if query.shown is Shown.DELETED:
        return [IS_HEAD, v.status == VersionStatus.DELETED, _WAS_THERE]
    if query.at_ms is None:
        return _live(query)
    n = _newer.c
    newer = sa.exists().where(n.host_key == v.host_key, n.path == v.path, n.gen > v.gen, _since(n) <= query.at_ms)
    return [v.status != VersionStatus.DELETED, _since(v) <= query.at_ms, ~newer]


def _since(version: Any) -> sa.ColumnElement[int]:
    """Return the moment from which on the path was what this version says."""
    return sa.func.coalesce(version.deleted_ms, version.stored_ms)


def _total(conn: sa.Connection, query: ListingQuery, wanted: list[sa.ColumnElement[bool]]) -> int:
    return int(conn.execute(sa.select(sa.func.count()).select_from(file_versions).where(*wanted)).scalar_one())


def find_content(conn: sa.Connection, owner_id: int, sha256: Digest) -> FileVersion | None:
    """Return some version of the owner with this content, kept in a good blob."""
    statement = (
        _VERSIONS.join(blobs, blobs.c.id == v.blob)
        .where(v.owner_id == owner_id, blobs.c.sha256 == sha256, blobs.c.state == "present")
        .order_by(v.id.desc())
        .limit(1)
    )
    row = conn.execute(statement).one_or_none()
    return None if row is None else _version(row)


def _version(row: sa.Row[Any]) -> FileVersion:
    return FileVersion(
        sequence=row.id,
        host_key=row.host_key,
        host_id=row.host_id,
        hostname=row.hostname,
        path=row.path,
        gen=row.gen,
        kind=row.kind,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        mtime_ns=row.mtime_ns,
        mode=row.mode,
        link_target=row.link_target,
        inconsistent=row.inconsistent,
        stored_ms=row.stored_ms,
    )
