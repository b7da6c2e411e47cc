"""Statements about uploads and their chunks."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from pp_server.core.errors import RateLimited, StaleGeneration, UploadAborted, UploadExpired
from pp_server.core.extents import Blob, Location
from pp_server.core.model import Expired, Facts, RecordedChunk, SessionStatus, UploadRequest, UploadSession
from pp_server.core.recorded import Whose, receipt_of
from pp_server.core.versions import Put, Verdict
from pp_server.metadata import sql_blobs, sql_files, sql_versions
from pp_server.metadata.base import Committed, ContentGone, Opened, Outdated
from pp_server.metadata.engine import Transaction
from pp_server.metadata.sql_state import upsert
from pp_server.metadata.tables import IS_OPEN, hosts, owners, upload_chunks, upload_sessions
from pp_server.wire.digest import Digest
from pp_server.wire.receipts import Receipt

DAY_MS = 24 * 3600 * 1000
KEEP_CLOSED_MS = DAY_MS
KEEP_COMPLETED_MS = 7 * DAY_MS
TOO_MANY_RETRY_S = 60

s = upload_sessions.c
_SESSIONS = (
    sa.select(upload_sessions, hosts.c.host_id, hosts.c.highest_gen, owners.c.name.label("owner"))
    .join(hosts, hosts.c.id == s.host_key)
    .join(owners, owners.c.id == s.owner_id)
)
_HOST = sa.select(hosts).where(hosts.c.id == sa.bindparam("id"))
_BY_ID = _SESSIONS.where(s.id == sa.bindparam("id"))
_BY_UPLOAD_ID = _SESSIONS.where(s.upload_id == sa.bindparam("upload_id"), s.owner_id == sa.bindparam("owner_id"))
_OPEN_OF_PATH = _SESSIONS.where(
    IS_OPEN, s.host_key == sa.bindparam("host_key"), s.path == sa.bindparam("path")
).order_by(s.id.desc())
_OPEN_OF_OWNER = (
    sa.select(sa.func.count())
    .select_from(upload_sessions)
    .where(IS_OPEN, s.owner_id == sa.bindparam("owner"), s.expires_ms > sa.bindparam("now"))
)
_INSERT = sa.insert(upload_sessions)
_RENEW = sa.update(upload_sessions).where(s.id == sa.bindparam("session"))
_CHUNKS = (
    sa.select(upload_chunks)
    .where(upload_chunks.c.session_id == sa.bindparam("session"))
    .order_by(upload_chunks.c.number)
)
_CHUNK = sa.select(upload_chunks).where(
    upload_chunks.c.session_id == sa.bindparam("session"), upload_chunks.c.number == sa.bindparam("number")
)
_RECORD_CHUNK = upsert(upload_chunks, lambda new: new.on_conflict_do_nothing())
_DROP_CHUNKS = sa.delete(upload_chunks).where(upload_chunks.c.session_id == sa.bindparam("session"))
_CLOSE = (
    sa.update(upload_sessions)
    .where(s.id == sa.bindparam("session"), s.status == SessionStatus.OPEN)
    .values(status=sa.bindparam("to"), closed_ms=sa.bindparam("now"), receipt=sa.bindparam("receipt"))
)


def open_session(
    tx: Transaction, request: UploadRequest, upload_id: str, now_ms: int, expires_ms: int, max_open: int | None = None
) -> Opened:
    """Return the open session of the same upload, else a new one, unless the owner has *max_open* already."""
    host = sql_files.ensure_host(tx, request.owner_id, request.host_id, request.hostname, request.ip_address, now_ms).id
    _refuse_stale(tx.conn, host, request)
    known = _owner_has(tx.conn, request)
    found = _same_upload(tx.conn, host, request, known, now_ms)
    if found is None:
        _refuse_too_many(tx.conn, request.owner_id, now_ms, max_open)
        session = _insert_session(tx, host, request, _new_session(request, upload_id, now_ms, expires_ms, known))
        return Opened(session, resumed=False)
    facts = sql_versions.fact_values(request.facts)
    changed = {"expires_ms": expires_ms, "content_known": int(known), "key_id": request.key_id, **facts}
    tx.conn.execute(_RENEW.values(changed), {"session": found})
    return Opened(_session(tx.conn.execute(_BY_ID, {"id": found}).one()), resumed=True)


def _refuse_too_many(conn: sa.Connection, owner_id: int, now_ms: int, max_open: int | None) -> None:
    if max_open is None:
        return
    if conn.execute(_OPEN_OF_OWNER, {"owner": owner_id, "now": now_ms}).scalar_one() >= max_open:
        raise RateLimited(f"{max_open} uploads are open already; complete or abort some", TOO_MANY_RETRY_S)


def _refuse_stale(conn: sa.Connection, host: int, request: UploadRequest) -> None:
    """Raise where the path's head is newer, or another one of this generation."""
    if request.gen is None:
        return
    head = sql_versions.heads(conn, host, [request.path]).get(request.path)
    if head is None or head.gen < request.gen:
        return
    if head.gen > request.gen or not head.is_live or head.sha256 != request.sha256:
        raise StaleGeneration(head.gen)


def _owner_has(conn: sa.Connection, request: UploadRequest) -> bool:
    """Say whether some version of the owner has this content, kept in a good blob."""
    if request.sha256 is None:
        return False
    return sql_blobs.sizes(conn, [request.sha256], request.owner_id).get(request.sha256) == request.size_bytes


def _same_upload(conn: sa.Connection, host: int, request: UploadRequest, known: bool, now_ms: int) -> int | None:
    """Return the open session of the same version. Without a digest, only a generation says that it is the same."""
    if request.sha256 is None and request.gen is None:
        return None
    wanted = (request.gen, request.facts.kind, request.sha256, request.size_bytes)
    for row in conn.execute(_OPEN_OF_PATH, {"host_key": host, "path": request.path}):
        if row.expires_ms <= now_ms or (row.gen, row.kind, row.sha256, row.size_bytes) != wanted:
            continue
        same_shape = (row.chunk_bytes, row.total_chunks) == (request.chunk_bytes, request.total_chunks)
        if same_shape or (not request.is_exact and (known or _has_chunks(conn, row.id))):
            return int(row.id)
    return None


def _has_chunks(conn: sa.Connection, session_id: int) -> bool:
    """Say whether a session would be a loss: an empty one gives way to the chunk size that suits the client now."""
    return conn.execute(_CHUNKS.limit(1), {"session": session_id}).first() is not None


def _new_session(request: UploadRequest, upload_id: str, now_ms: int, expires_ms: int, known: bool) -> UploadSession:
    return UploadSession(
        id=0,
        upload_id=upload_id,
        owner_id=request.owner_id,
        host_id=request.host_id,
        path=request.path,
        gen=request.gen,
        sha256=request.sha256,
        size_bytes=request.size_bytes,
        chunk_bytes=request.chunk_bytes,
        total_chunks=request.total_chunks,
        status=SessionStatus.OPEN,
        content_known=known,
        created_ms=now_ms,
        expires_ms=expires_ms,
        completed_ms=None,
        receipt=None,
    )


def _insert_session(tx: Transaction, host: int, request: UploadRequest, session: UploadSession) -> UploadSession:
    row = {name: getattr(session, name) for name in _SESSION_COLUMNS}
    row |= {"key_id": request.key_id, "host_key": host, "content_known": int(session.content_known)}
    created = tx.conn.execute(_INSERT, row | sql_versions.fact_values(request.facts)).inserted_primary_key
    assert created is not None
    return replace(session, id=created[0])


_SESSION_COLUMNS = (
    "upload_id",
    "owner_id",
    "path",
    "gen",
    "sha256",
    "size_bytes",
    "chunk_bytes",
    "total_chunks",
    "status",
    "created_ms",
    "expires_ms",
)


def find_session(conn: sa.Connection, owner_id: int, upload_id: str) -> UploadSession | None:
    """Return one of the owner's sessions."""
    row = conn.execute(_BY_UPLOAD_ID, {"owner_id": owner_id, "upload_id": upload_id}).one_or_none()
    return None if row is None else _session(row)


def chunks(conn: sa.Connection, session_id: int) -> list[RecordedChunk]:
    """Return what arrived, by number."""
    return [_chunk(row) for row in conn.execute(_CHUNKS, {"session": session_id})]


def chunk(conn: sa.Connection, session_id: int, number: int) -> RecordedChunk | None:
    """Return one chunk."""
    row = conn.execute(_CHUNK, {"session": session_id, "number": number}).one_or_none()
    return None if row is None else _chunk(row)


def record_chunk(tx: Transaction, session_id: int, recorded: RecordedChunk, expires_ms: int | None) -> None:
    """Record a chunk that arrived."""
    row = {
        "session_id": session_id,
        "number": recorded.number,
        "size_bytes": recorded.size_bytes,
        "sha256": recorded.sha256,
        "epoch": recorded.epoch,
        "uploaded_ms": recorded.uploaded_ms,
    }
    tx.conn.execute(_RECORD_CHUNK(tx.conn), row)
    if expires_ms is not None:
        tx.conn.execute(_RENEW.values(expires_ms=expires_ms), {"session": session_id})
    tx.counts["chunks_received"] += 1
    tx.counts["bytes_received"] += recorded.size_bytes


def forget_chunks(tx: Transaction, session_id: int, numbers: Sequence[int] | None) -> None:
    """These chunks are missing again."""
    if numbers is None:
        tx.conn.execute(_DROP_CHUNKS, {"session": session_id})
    elif numbers:
        statement = _DROP_CHUNKS.where(upload_chunks.c.number == sa.bindparam("number"))
        tx.conn.execute(statement, [{"session": session_id, "number": number} for number in numbers])


def vouch_chunks(tx: Transaction, session_id: int, epoch: int) -> None:
    """The session's chunks are intact as of *epoch*."""
    tx.conn.execute(sa.update(upload_chunks).where(upload_chunks.c.session_id == session_id).values(epoch=epoch))


def forget_known_content(tx: Transaction, session_id: int) -> None:
    """The session needs its chunks after all."""
    tx.conn.execute(_RENEW.values(content_known=0), {"session": session_id})


def complete_session(
    tx: Transaction, session_id: int, sha256: Digest, location: Location | None, now_ms: int, server_id: str
) -> Committed | Outdated | ContentGone:
    """Record blob and version and close the session."""
    row = tx.conn.execute(_BY_ID, {"id": session_id}).one()
    if row.receipt is not None:
        return Committed(Receipt.model_validate_json(row.receipt))
    if row.status == SessionStatus.ABORTED:
        raise UploadAborted("The upload was aborted")
    if row.status != SessionStatus.OPEN:
        raise UploadExpired("The upload has expired")
    if location is not None:
        sql_blobs.record(tx, [Blob(sha256, row.size_bytes, location)], now_ms)
    put = Put(row.path, row.gen, _facts(row), sha256, row.size_bytes)
    arrived = {} if location is None else {sha256: int(row.size_bytes)}
    host = tx.conn.execute(_HOST, {"id": row.host_key}).one()
    [outcome], new = sql_versions.apply(tx, row.owner_id, host, [put], arrived, now_ms, server_id)
    if outcome.verdict is Verdict.MISSING:
        return ContentGone()
    tx.conn.execute(_DROP_CHUNKS, {"session": session_id})
    if outcome.version is None:
        _close(tx, session_id, SessionStatus.ABORTED, now_ms)
        return Outdated(outcome.gen or 0)
    receipt = receipt_of(outcome.version, Whose(server_id, row.owner, row.host_id))
    _close(tx, session_id, SessionStatus.COMPLETED, now_ms, receipt)
    tx.counts["uploads_completed"] += 1
    return Committed(receipt, tuple(new))


def _facts(row: sa.Row[Any]) -> Facts:
    return Facts(**{name: getattr(row, name) for name in Facts._fields})


def _close(tx: Transaction, session_id: int, to: SessionStatus, now_ms: int, receipt: Receipt | None = None) -> None:
    text = None if receipt is None else receipt.model_dump_json()
    tx.conn.execute(_CLOSE, {"session": session_id, "to": to, "now": now_ms, "receipt": text})


def abort_session(tx: Transaction, session_id: int, now_ms: int) -> int:
    """Close an open session; return how many chunks it had."""
    dropped = tx.conn.execute(_DROP_CHUNKS, {"session": session_id}).rowcount
    _close(tx, session_id, SessionStatus.ABORTED, now_ms)
    return dropped


def expire_sessions(tx: Transaction, now_ms: int, busy: Iterable[str]) -> Expired:
    """Close what is over, drop what nobody can ask for any more."""
    busy = set(busy)
    over = sa.select(s.id, s.upload_id).where(IS_OPEN, s.expires_ms <= now_ms)
    found = [row for row in tx.conn.execute(over) if row.upload_id not in busy]
    for row in found:
        _expire(tx, row.id, now_ms)
    dropped = 0
    for status, keep_ms in _KEPT:
        old = sa.delete(upload_sessions).where(s.status == status, s.expires_ms < now_ms - keep_ms)
        dropped += tx.conn.execute(old).rowcount
    return Expired(tuple(row.upload_id for row in found), dropped)


_KEPT = (
    (SessionStatus.EXPIRED, KEEP_CLOSED_MS),
    (SessionStatus.ABORTED, KEEP_CLOSED_MS),
    (SessionStatus.COMPLETED, KEEP_COMPLETED_MS),
)


def expire_session(tx: Transaction, upload_id: str, now_ms: int) -> bool:
    """Close one open session as expired."""
    row = tx.conn.execute(sa.select(s.id).where(IS_OPEN, s.upload_id == upload_id)).one_or_none()
    if row is None:
        return False
    _expire(tx, row.id, now_ms)
    return True


def _expire(tx: Transaction, session_id: int, now_ms: int) -> None:
    tx.conn.execute(_DROP_CHUNKS, {"session": session_id})
    _close(tx, session_id, SessionStatus.EXPIRED, now_ms)


def open_upload_ids(conn: sa.Connection) -> set[str]:
    """Return the ids of all open sessions."""
    return set(conn.execute(sa.select(s.upload_id).where(IS_OPEN)).scalars())


def _session(row: sa.Row[Any]) -> UploadSession:
    return UploadSession(
        id=row.id,
        upload_id=row.upload_id,
        owner_id=row.owner_id,
        host_id=row.host_id,
        path=row.path,
        gen=row.gen,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        chunk_bytes=row.chunk_bytes,
        total_chunks=row.total_chunks,
        status=SessionStatus(row.status),
        content_known=bool(row.content_known),
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
        completed_ms=row.closed_ms if row.status == SessionStatus.COMPLETED else None,
        receipt=None if row.receipt is None else Receipt.model_validate_json(row.receipt),
    )


def _chunk(row: sa.Row[Any]) -> RecordedChunk:
    return RecordedChunk(row.number, row.size_bytes, row.sha256, row.epoch, row.uploaded_ms)
