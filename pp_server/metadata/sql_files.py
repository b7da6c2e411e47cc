"""Statements about hosts, deletions and listings."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from pp_server.core.model import (
    DeletionOrder,
    DeletionOutcome,
    DeletionStatus,
    FileVersion,
    Host,
    ListedPath,
    ListingQuery,
    Page,
    Position,
    Shown,
    VersionStatus,
)
from pp_server.core.recorded import Recorded
from pp_server.core.trees import MoveTree
from pp_server.core.versions import Delete, Operation, Outcome
from pp_server.metadata import sql_blobs, sql_trees, sql_versions
from pp_server.metadata.base import Applied, Batch
from pp_server.metadata.engine import Transaction
from pp_server.metadata.tables import IS_HEAD, IS_LIVE, blobs, file_versions, hosts
from pp_server.wire.digest import Digest
from pp_server.wire.names import below

SEEN_EVERY_MS = 60_000
"""A host's `seen_ms` is no more exact than this: it would cost a write per upload."""

v = file_versions.c
h = hosts.c
_HOST = sa.select(hosts).where(h.owner_id == sa.bindparam("owner_id"), h.host_id == sa.bindparam("host_id"))


def ensure_host(
    tx: Transaction, owner_id: int, host_id: str, hostname: str, ip_address: str | None, now_ms: int
) -> sa.Row[Any]:
    """Return the host's row, creating or refreshing it."""
    asked = {"owner_id": owner_id, "host_id": host_id}
    row = tx.conn.execute(_HOST, asked).one_or_none()
    seen = {"hostname": hostname, "ip_address": ip_address, "seen_ms": now_ms}
    if row is None:
        tx.conn.execute(sa.insert(hosts), {"highest_gen": 0, "created_ms": now_ms, **asked, **seen})
    elif row.hostname != hostname or row.seen_ms < now_ms - SEEN_EVERY_MS:
        tx.conn.execute(sa.update(hosts).where(h.id == row.id).values(seen))
    else:
        return row
    return tx.conn.execute(_HOST, asked).one()


def find_host(conn: sa.Connection, owner_id: int, host_id: str) -> Host | None:
    """Return one of the owner's hosts."""
    row = conn.execute(_HOST, {"owner_id": owner_id, "host_id": host_id}).one_or_none()
    return None if row is None else Host(row.host_id, row.hostname, row.highest_gen)


def apply_batch(tx: Transaction, batch: Batch, now_ms: int, server_id: str) -> Applied:
    """Record what is stored and apply the operations, in order: directories alone, the others between them together."""
    host = ensure_host(tx, batch.owner_id, batch.host_id, batch.hostname, None, now_ms)
    sql_blobs.record(tx, batch.stored, now_ms)
    arrived = {blob.sha256: blob.size_bytes for blob in batch.stored}
    arrived |= sql_blobs.sizes(tx.conn, [digest for digest in batch.arrived if digest not in arrived])
    who = sql_versions.whose(tx.conn, batch.owner_id, host, server_id)
    outcomes: list[Outcome] = []
    new: list[Recorded] = []
    for part in _parts(batch.operations):
        if outcomes:
            host = tx.conn.execute(_HOST, {"owner_id": batch.owner_id, "host_id": batch.host_id}).one()
        if isinstance(part, MoveTree):
            became, added = sql_trees.apply(tx, batch.owner_id, host, part, now_ms, server_id, batch.arriving)
            outcomes.append(became)
        else:
            several, added = sql_versions.apply(tx, batch.owner_id, host, part, arrived, now_ms, server_id)
            outcomes += several
        new += added
    return Applied(outcomes, new, who)


def _parts(operations: Sequence[Operation | MoveTree]) -> Iterator[MoveTree | list[Operation]]:
    loose: list[Operation] = []
    for each in operations:
        if not isinstance(each, MoveTree):
            loose.append(each)
            continue
        if loose:
            yield loose
            loose = []
        yield each
    if loose:
        yield loose


# deletions


def apply_deletions(
    tx: Transaction,
    owner_id: int,
    orders: Sequence[DeletionOrder],
    now_ms: int,
    server_id: str,
) -> tuple[list[DeletionOutcome], list[Recorded]]:
    """Apply deletions; those of one host in order, all of them in this transaction. Return new tombstones, too."""
    known: dict[str | None, sa.Row[Any] | None] = {}
    targets = [_target(tx, owner_id, order, known, now_ms) for order in orders]
    outcomes: list[DeletionOutcome] = [DeletionOutcome(DeletionStatus.NOT_FOUND)] * len(orders)
    new: list[Recorded] = []
    for host in {target[0].id: target[0] for target in targets if target is not None}.values():
        numbers = [n for n, target in enumerate(targets) if target is not None and target[0].id == host.id]
        asked = [Delete(targets[n][1], orders[n].gen, orders[n].sha256) for n in numbers]  # type: ignore[index]
        found, added = sql_versions.apply(tx, owner_id, host, asked, {}, now_ms, server_id)
        new += added
        for number, outcome in zip(numbers, found, strict=True):
            outcomes[number] = _outcome(outcome, host)
    return outcomes, new


def _target(
    tx: Transaction, owner_id: int, order: DeletionOrder, known: dict[str | None, sa.Row[Any] | None], now_ms: int
) -> tuple[sa.Row[Any], bytes] | None:
    """Return the (host, path) the order means, or None; *known* remembers hosts that were looked up.

    A host that was never heard of is one from now on, if the order has a generation: what it sent before may come yet.
    """
    if order.path is None:
        return _only_holder(tx.conn, owner_id, order.sha256)
    if order.host_id not in known:
        asked = {"owner_id": owner_id, "host_id": order.host_id}
        known[order.host_id] = tx.conn.execute(_HOST, asked).one_or_none()
    if known[order.host_id] is None and order.gen is not None and order.host_id is not None:
        known[order.host_id] = ensure_host(tx, owner_id, order.host_id, order.host_id, None, now_ms)
    host = known[order.host_id]
    return None if host is None else (host, order.path)


def _only_holder(conn: sa.Connection, owner_id: int, sha256: Digest) -> tuple[sa.Row[Any], bytes] | None:
    """Return the one live path with this content; where none is live, the one deleted last with it."""
    mine = sa.select(file_versions).join(blobs).where(v.owner_id == owner_id, blobs.c.sha256 == sha256, v.is_head == 1)
    live = conn.execute(mine.where(v.status == VersionStatus.ACTIVE).limit(2)).all()
    if not live:
        live = conn.execute(mine.where(v.status == VersionStatus.DELETED).limit(2)).all()
    if len(live) != 1:
        return None
    return conn.execute(sa.select(hosts).where(h.id == live[0].host_key)).one(), live[0].path


def _outcome(outcome: Outcome, host: sa.Row[Any]) -> DeletionOutcome:
    status, known = DeletionStatus(outcome.verdict.value), outcome.version
    if known is None:
        return DeletionOutcome(status)
    if status is not DeletionStatus.DELETED:
        return DeletionOutcome(status, known.path, host.host_id, host.hostname, None, outcome.gen)
    whose = (known.path, host.host_id, host.hostname)
    return DeletionOutcome(status, *whose, known.deleted_ms, outcome.gen, known.sequence)


# listings

_VERSIONS = sa.select(file_versions, h.host_id, h.hostname).join_from(file_versions, hosts, h.id == v.host_key)


def list_files(conn: sa.Connection, query: ListingQuery) -> Page:
    """Return one page of live files."""
    wanted = _wanted(query)
    total = _total(conn, query, wanted) if query.after is None else query.after.total
    statement = _VERSIONS.where(*wanted).order_by(v.host_key, v.path).limit(query.limit + 1)
    if query.after is None:
        statement = statement.offset(query.offset)
    else:
        place = sa.tuple_(sa.literal(query.after.host_key), sa.literal(query.after.path))
        statement = statement.where(sa.tuple_(v.host_key, v.path) > place)
    versions = tuple(_version(row) for row in conn.execute(statement))
    shown = versions[: query.limit]
    more = len(versions) > query.limit and bool(shown)
    following = Position(shown[-1].host_key, shown[-1].path, total) if more else None
    return Page(shown, total, following)


_LISTED_PATH = sa.select(
    v.host_key, h.host_id, h.hostname, v.path, v.kind, v.gen, v.sha256, v.size_bytes, v.link_target, v.mtime_ns, v.mode,
    v.uid, v.gid, v.user_name, v.group_name, v.inconsistent, v.status, v.stored_ms, v.deleted_ms,
).join_from(file_versions, hosts, h.id == v.host_key)  # fmt: skip


def page_of_tree(conn: sa.Connection, query: ListingQuery) -> list[ListedPath]:
    """Return up to `query.limit` paths, those beyond `query.after`."""
    order = (v.host_key, v.path, v.gen) if query.shown is Shown.ALL else (v.host_key, v.path)
    statement = _LISTED_PATH.where(*_wanted(query)).order_by(*order).limit(query.limit)
    if query.after is not None:
        place = (query.after.host_key, query.after.path, query.after.gen)[: len(order)]
        statement = statement.where(sa.tuple_(*order) > sa.tuple_(*map(sa.literal, place)))
    return [ListedPath._make(row) for row in conn.execute(statement)]


def _wanted(query: ListingQuery) -> list[sa.ColumnElement[bool]]:
    wanted: list[Any] = [*_shown(query), v.owner_id == query.owner_id]
    if query.kind is not None:
        wanted.append(v.kind == query.kind)
    if query.hostname is not None or query.host_id is not None:
        named = sa.select(h.id).where(h.owner_id == query.owner_id)
        if query.hostname is not None:
            named = named.where(h.hostname == query.hostname)
        if query.host_id is not None:
            named = named.where(h.host_id == query.host_id)
        wanted.append(v.host_key.in_(named))
    if query.path_prefix:
        first, last = below(query.path_prefix)
        itself = first.rstrip(b"/") or b"/"
        wanted += [v.path >= itself, v.path < last, sa.or_(v.path == itself, v.path >= first)]
    return wanted


_newer = file_versions.alias("newer")
_WAS_THERE = sa.or_(v.kind != "file", v.sha256.is_not(None))
"""Not so the tombstone of what never came."""


def _shown(query: ListingQuery) -> list[Any]:
    if query.shown is Shown.ALL:
        return [_WAS_THERE]
    if query.shown is Shown.DELETED:
        return [IS_HEAD, v.status == VersionStatus.DELETED, _WAS_THERE]
    if query.at_ms is None:
        return [IS_LIVE]
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
