"""Statements about hosts, blobs and file versions."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pp_server.core.model import (
    DeletionOrder,
    DeletionOutcome,
    DeletionStatus,
    Facts,
    FileVersion,
    Host,
    ListingQuery,
    Page,
    Position,
    UploadRequest,
    VersionStatus,
)
from pp_server.metadata.base import Committed, Outdated
from pp_server.metadata.engine import Transaction
from pp_server.metadata.sql_state import upsert
from pp_server.metadata.tables import IS_HEAD, IS_LIVE, IS_OPEN, blobs, file_versions, hosts, upload_sessions
from pp_server.wire.digest import Digest
from pp_server.wire.names import below, to_json
from pp_server.wire.receipts import Receipt
from pp_server.wire.times import iso

SEEN_EVERY_MS = 60_000
"""A host's `seen_ms` is no more exact than this: it would cost a write per upload."""

v = file_versions.c
h = hosts.c
_HOST = sa.select(hosts).where(h.owner_id == sa.bindparam("owner_id"), h.host_id == sa.bindparam("host_id"))
_HEAD = sa.select(file_versions).where(IS_HEAD, v.host_key == sa.bindparam("host_key"), v.path == sa.bindparam("path"))
_OWNED = (
    sa.select(sa.literal(1))
    .select_from(file_versions.join(blobs, blobs.c.sha256 == v.sha256))
    .where(
        v.owner_id == sa.bindparam("owner_id"),
        v.sha256 == sa.bindparam("sha256"),
        blobs.c.state == "present",
        blobs.c.size_bytes == sa.bindparam("size_bytes"),
    )
    .limit(1)
)
_RAISE_GEN = (
    sa.update(hosts)
    .where(h.id == sa.bindparam("host_key"), h.highest_gen < sa.bindparam("gen"))
    .values(highest_gen=sa.bindparam("gen"))
)
_STEP_DOWN = (
    sa.update(file_versions).where(v.id == sa.bindparam("version")).values(is_head=0, status=sa.bindparam("to"))
)
_INSERT = sa.insert(file_versions)
_OPEN_UPLOAD = sa.select(upload_sessions.c.id).where(
    IS_OPEN, upload_sessions.c.host_key == sa.bindparam("host_key"), upload_sessions.c.path == sa.bindparam("path")
)
_FACT_NAMES = tuple(Facts.__dataclass_fields__)


def fact_values(facts: Facts) -> dict[str, Any]:
    """Return the facts by column."""
    return {name: getattr(facts, name) for name in _FACT_NAMES}


def ensure_host(tx: Transaction, request: UploadRequest, now_ms: int) -> int:
    """Return the host's row id, creating or refreshing the row."""
    row = tx.conn.execute(_HOST, {"owner_id": request.owner_id, "host_id": request.host_id}).one_or_none()
    seen = {"hostname": request.hostname, "ip_address": request.ip_address, "seen_ms": now_ms}
    if row is None:
        new = {"owner_id": request.owner_id, "host_id": request.host_id, "highest_gen": 0, "created_ms": now_ms, **seen}
        created = tx.conn.execute(sa.insert(hosts), new).inserted_primary_key
        assert created is not None
        return int(created[0])
    if row.hostname != request.hostname or row.seen_ms < now_ms - SEEN_EVERY_MS:
        tx.conn.execute(sa.update(hosts).where(h.id == row.id).values(seen))
    return int(row.id)


def find_host(conn: sa.Connection, owner_id: int, host_id: str) -> Host | None:
    """Return one of the owner's hosts."""
    row = conn.execute(_HOST, {"owner_id": owner_id, "host_id": host_id}).one_or_none()
    return None if row is None else Host(row.host_id, row.hostname, row.highest_gen)


def head(conn: sa.Connection, host_key: int, path: bytes) -> sa.Row[Any] | None:
    """Return the newest version of a path, tombstones included."""
    return conn.execute(_HEAD, {"host_key": host_key, "path": path}).one_or_none()


def owner_has(conn: sa.Connection, owner_id: int, sha256: Digest | None, size_bytes: int) -> bool:
    """Say whether some version of this owner is kept in a good blob of that digest and size."""
    if sha256 is None:
        return False
    asked = {"owner_id": owner_id, "sha256": sha256, "size_bytes": size_bytes}
    return conn.execute(_OWNED, asked).first() is not None


def has_blob(conn: sa.Connection, sha256: Digest) -> bool:
    """Say whether a good blob is recorded."""
    good = sa.select(blobs.c.size_bytes).where(blobs.c.sha256 == sha256, blobs.c.state == "present")
    return conn.execute(good).first() is not None


def record_blob(tx: Transaction, sha256: Digest, size_bytes: int, now_ms: int) -> None:
    """The blob is durable in the content store, whatever was known of it before."""
    row = {"sha256": sha256, "size_bytes": size_bytes, "state": "present", "created_ms": now_ms}
    tx.conn.execute(_RECORD_BLOB(tx.conn), row)


_RECORD_BLOB = upsert(
    blobs,
    lambda new: new.on_conflict_do_update(
        index_elements=["sha256"], set_={"state": new.excluded.state, "size_bytes": new.excluded.size_bytes}
    ),
)


def record_version(
    tx: Transaction, session: sa.Row[Any], sha256: Digest, now_ms: int, server_id: str
) -> Committed | Outdated:
    """Make the uploaded version the path's head, unless the path is further already."""
    whose = {"owner": session.owner, "host_id": session.host_id}
    known = head(tx.conn, session.host_key, session.path)
    gen = session.gen
    if gen is None:
        gen = session.highest_gen + 1
    elif known is not None and known.gen >= gen:
        same = known.gen == gen and known.status == VersionStatus.ACTIVE and known.sha256 == sha256
        if not same:
            return Outdated(known.gen)
        return Committed(_receipt({**known._mapping, **whose}, known.id, server_id))
    row = {
        "owner_id": session.owner_id,
        "host_key": session.host_key,
        "path": session.path,
        "gen": gen,
        **{name: getattr(session, name) for name in _FACT_NAMES},
        "sha256": sha256,
        "size_bytes": session.size_bytes,
        "stored_ms": now_ms,
    }
    sequence = _become_head(tx, known, row | {"status": VersionStatus.ACTIVE, "deleted_ms": None})
    return Committed(_receipt({**row, **whose}, sequence, server_id))


def _next_gen(conn: sa.Connection, host_key: int) -> int:
    return int(conn.execute(sa.select(h.highest_gen).where(h.id == host_key)).scalar_one()) + 1


def _become_head(tx: Transaction, known: sa.Row[Any] | None, row: dict[str, Any]) -> int:
    """Record a version as its path's newest; return its sequence."""
    if known is not None:
        to = VersionStatus.SUPERSEDED if known.status == VersionStatus.ACTIVE else known.status
        tx.conn.execute(_STEP_DOWN, {"version": known.id, "to": to})
    created = tx.conn.execute(_INSERT, row | {"is_head": 1}).inserted_primary_key
    tx.conn.execute(_RAISE_GEN, {"host_key": row["host_key"], "gen": row["gen"]})
    assert created is not None
    return int(created[0])


def _receipt(version: dict[str, Any], sequence: int, server_id: str) -> Receipt:
    plain, encoded = to_json(version["path"])
    return Receipt(
        server_id=server_id,
        owner=version["owner"],
        host_id=version["host_id"],
        filepath=plain,
        filepath_b64=encoded,
        gen=version["gen"],
        sha256=version["sha256"],
        size=version["size_bytes"],
        stored_at=iso(version["stored_ms"]),
        sequence=sequence,
    )


# deletions


def apply_deletions(
    tx: Transaction, owner_id: int, orders: Sequence[DeletionOrder], now_ms: int
) -> list[DeletionOutcome]:
    """Apply deletions in order."""
    return [_delete(tx, owner_id, order, now_ms) for order in orders]


def _delete(tx: Transaction, owner_id: int, order: DeletionOrder, now_ms: int) -> DeletionOutcome:
    found = _target(tx.conn, owner_id, order)
    if found is None:
        _fence_open_uploads(tx, owner_id, order, now_ms)
        return DeletionOutcome(DeletionStatus.NOT_FOUND)
    host, known = found
    done = known.status == VersionStatus.DELETED and known.sha256 == order.sha256
    if order.gen is None:
        if done:
            return _deleted(known, host)
        if known.status != VersionStatus.ACTIVE or known.sha256 != order.sha256:
            return DeletionOutcome(DeletionStatus.NOT_FOUND, known.path, host.host_id, host.hostname)
        gen = _next_gen(tx.conn, host.id)
    elif order.gen > known.gen:
        gen = order.gen
    elif order.gen == known.gen and done:
        return _deleted(known, host)
    elif order.gen == known.gen and known.sha256 is None:  # the same order again, about what was never here
        return DeletionOutcome(DeletionStatus.NOT_FOUND)
    else:
        return DeletionOutcome(DeletionStatus.STALE, known.path, host.host_id, host.hostname, gen=known.gen)
    _become_head(tx, known, _tombstone(known, gen, now_ms))
    tx.counts["deletions"] += 1
    return DeletionOutcome(DeletionStatus.DELETED, known.path, host.host_id, host.hostname, now_ms, gen)


def _target(conn: sa.Connection, owner_id: int, order: DeletionOrder) -> tuple[sa.Row[Any], sa.Row[Any]] | None:
    """Return (host, head) the order means, or None."""
    if order.path is None:
        return _only_holder(conn, owner_id, order.sha256)
    host = conn.execute(_HOST, {"owner_id": owner_id, "host_id": order.host_id}).one_or_none()
    known = None if host is None else head(conn, host.id, order.path)
    return None if host is None or known is None else (host, known)


def _fence_open_uploads(tx: Transaction, owner_id: int, order: DeletionOrder, now_ms: int) -> None:
    """Let an upload of this path that is still under way find its version outdated when it completes.

    The path is unknown so far, so what is put on it is a tombstone of nothing: it names no content, because a digest
    in a version is what says that the owner has that content.
    """
    if order.path is None or order.gen is None:
        return
    host = tx.conn.execute(_HOST, {"owner_id": owner_id, "host_id": order.host_id}).one_or_none()
    if host is None or tx.conn.execute(_OPEN_UPLOAD, {"host_key": host.id, "path": order.path}).first() is None:
        return
    nothing: dict[str, Any] = dict.fromkeys(_FACT_NAMES) | {"kind": "file", "sha256": None, "size_bytes": 0}
    where = {"owner_id": owner_id, "host_key": host.id, "path": order.path, "gen": order.gen}
    when = {"stored_ms": now_ms, "deleted_ms": now_ms, "status": VersionStatus.DELETED}
    _become_head(tx, None, nothing | where | when)


def _only_holder(conn: sa.Connection, owner_id: int, sha256: Digest) -> tuple[sa.Row[Any], sa.Row[Any]] | None:
    """Return the one live path with this content; where none is live, the one deleted last with it."""
    mine = sa.select(file_versions).where(v.owner_id == owner_id, v.sha256 == sha256, v.is_head == 1)
    live = conn.execute(mine.where(v.status == VersionStatus.ACTIVE).limit(2)).all()
    if not live:
        live = conn.execute(mine.where(v.status == VersionStatus.DELETED).limit(2)).all()
    if len(live) != 1:
        return None
    return conn.execute(sa.select(hosts).where(h.id == live[0].host_key)).one(), live[0]


def _tombstone(known: sa.Row[Any], gen: int, now_ms: int) -> dict[str, Any]:
    kept = {name: getattr(known, name) for name in ("owner_id", "host_key", "path", "sha256", "size_bytes")}
    facts = {name: getattr(known, name) for name in _FACT_NAMES}
    return {
        **kept,
        **facts,
        "gen": gen,
        "status": VersionStatus.DELETED,
        "stored_ms": known.stored_ms,
        "deleted_ms": now_ms,
    }


def _deleted(known: sa.Row[Any], host: sa.Row[Any]) -> DeletionOutcome:
    return DeletionOutcome(DeletionStatus.DELETED, known.path, host.host_id, host.hostname, known.deleted_ms, known.gen)


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


def _wanted(query: ListingQuery) -> list[sa.ColumnElement[bool]]:
    wanted: list[Any] = [IS_LIVE, v.owner_id == query.owner_id, v.kind == "file"]
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


def _total(conn: sa.Connection, query: ListingQuery, wanted: list[sa.ColumnElement[bool]]) -> int:
    return int(conn.execute(sa.select(sa.func.count()).select_from(file_versions).where(*wanted)).scalar_one())


def find_content(conn: sa.Connection, owner_id: int, sha256: Digest) -> FileVersion | None:
    """Return some version of the owner with this content, kept in a good blob."""
    statement = (
        _VERSIONS.join(blobs, blobs.c.sha256 == v.sha256)
        .where(v.owner_id == owner_id, v.sha256 == sha256, blobs.c.state == "present")
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
        stored_ms=row.stored_ms,
    )
