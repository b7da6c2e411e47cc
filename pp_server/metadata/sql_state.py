"""Statements about the server itself: its identity, its starts, its counters."""

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pp_server.metadata.tables import IS_LIVE, blobs, counters, file_versions, server_state

COUNTERS = ("bytes_received", "bytes_duplicate", "chunks_received", "uploads_completed", "deletions", "fsyncs")


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the server on its database."""

    server_id: str
    epoch: int
    verify_below: int
    was_clean: bool


def begin_epoch(conn: sa.Connection) -> Start:
    """Record a start. The epoch before it counts as unclean unless `end_epoch` was reached in it."""
    known = {row.name: row.value for row in conn.execute(sa.select(server_state))}
    last = int(known.get("epoch", "0"))
    was_clean = known.get("clean_epoch", "0") == str(last)
    start = Start(
        known.get("server_id") or uuid.uuid4().hex,
        last + 1,
        int(known.get("verify_below", "0")) if was_clean else last + 1,
        was_clean,
    )
    _set(conn, server_id=start.server_id, epoch=str(start.epoch), verify_below=str(start.verify_below))
    return start


def end_epoch(conn: sa.Connection, epoch: int) -> None:
    """Record that the server stopped in good order."""
    _set(conn, clean_epoch=str(epoch))


def _set(conn: sa.Connection, **values: str) -> None:
    for name, value in values.items():
        statement = insert(conn, server_state).values(name=name, value=value)
        conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value}))


def receipts_logged(conn: sa.Connection) -> int:
    """Return the sequence through which all versions certainly are in the receipts log."""
    found = conn.execute(sa.select(server_state.c.value).where(server_state.c.name == "receipts_logged")).scalar()
    return int(found or 0)


def set_server_id(conn: sa.Connection, server_id: str) -> None:
    """Be this server, as its receipts say."""
    _set(conn, server_id=server_id)


def save_receipts_logged(conn: sa.Connection, sequence: int) -> None:
    """Record how far the receipts log is complete."""
    _set(conn, receipts_logged=str(sequence))


def save_counts(conn: sa.Connection, counts: Counter[str]) -> None:
    """Add *counts* to the counters, in one statement."""
    rows = [{"name": name, "value": value} for name, value in counts.items() if value]
    if not rows:
        return
    conn.execute(_ADD_COUNTS(conn), rows)


def stats(conn: sa.Connection) -> dict[str, int]:
    """Return how much is stored and what happened so far."""
    files, referenced = conn.execute(_FILES).one()
    stored, blob_bytes = conn.execute(_BLOBS).one()
    known = {row.name: row.value for row in conn.execute(sa.select(counters))}
    return {
        "files": files,
        "bytes_referenced": referenced,
        "blobs": stored,
        "bytes_stored": blob_bytes,
        **{name: known.get(name, 0) for name in COUNTERS},
    }


_FILES = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(file_versions.c.size_bytes), 0)).where(
    IS_LIVE, file_versions.c.kind == "file"
)
_BLOBS = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(blobs.c.size_bytes), 0)).where(
    blobs.c.state == "present"
)


Insert = sqlite.Insert | postgresql.Insert


def insert(conn: sa.Connection, table: sa.Table) -> Insert:
    """Return the dialect's insert, which knows ON CONFLICT."""
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)


def upsert(table: sa.Table, finish: Callable[[Insert], Insert]) -> Callable[[sa.Connection], Insert]:
    """Return a function from connection to statement that builds the statement only once per dialect."""
    built: dict[str, Insert] = {}

    def statement(conn: sa.Connection) -> Insert:
        name = conn.dialect.name
        if name not in built:
            built[name] = finish(insert(conn, table))
        return built[name]

    return statement


_ADD_COUNTS = upsert(
    counters,
    lambda new: new.on_conflict_do_update(
        index_elements=["name"], set_={"value": counters.c.value + new.excluded.value}
    ),
)
