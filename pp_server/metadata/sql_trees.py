"""Statements that move a whole directory. A constant number of them, each over a range of an index."""

from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa

from pp_server.core import trees
from pp_server.core.recorded import Recorded
from pp_server.core.trees import Head, Moved, MoveTree, Seen
from pp_server.core.versions import CHANGEABLE, Delete, Outcome, Verdict
from pp_server.metadata import sql_versions
from pp_server.metadata.engine import Transaction
from pp_server.metadata.tables import IS_HEAD, blobs, file_versions
from pp_server.wire.trees import is_beneath, placed

v = file_versions.c
_KINDS = ("file", "dir", "symlink")
_FIRST: sa.BindParameter[bytes] = sa.bindparam("first", type_=sa.LargeBinary)
_LAST: sa.BindParameter[bytes] = sa.bindparam("last", type_=sa.LargeBinary)


def _live_within(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """Return what is live within a range of paths, by ix_file_versions_live: it knows no tombstones, of which there may
    be any number."""
    c = table.c
    mine = (c.owner_id == sa.bindparam("owner"), c.kind.in_(_KINDS), c.host_key == sa.bindparam("host"))
    return sa.and_(c.is_head == 1, c.status == sa.literal_column("'active'"), *mine, c.path >= _FIRST, c.path < _LAST)


_IS_LIVE = _live_within(file_versions)
_IS_HEAD = sa.and_(IS_HEAD, v.host_key == sa.bindparam("host"), v.path >= _FIRST, v.path < _LAST)

_HEAD = (v.path, v.kind, v.sha256, v.size_bytes, v.id, v.status, v.stored_ms)
THERE = sa.select(*_HEAD).where(_IS_LIVE).limit(sa.bindparam("limit"))
NEWEST_GEN = sa.select(sa.func.max(v.gen)).where(_IS_HEAD)
OF_GEN = sa.select(*_HEAD).where(_IS_HEAD, v.gen == sa.bindparam("at_gen"))
ANY_LIVE = sa.select(v.id).where(_IS_LIVE).limit(1)
ANY_HEAD = sa.select(v.id).where(_IS_HEAD).limit(1)
_IS_GOOD = sa.exists().where(blobs.c.id == v.blob, blobs.c.state == "present")
LACKS_CONTENT = sa.select(v.id).where(_IS_LIVE, v.blob.is_not(None), ~_IS_GOOD).limit(1)
_HINTS = {"sqlite": "INDEXED BY ix_upload_sessions_open"}
"""For many paths SQLite would take the index of the status, and look at every open upload of everybody."""
UPLOADING = {
    dialect: sa.text(
        f"SELECT DISTINCT path FROM upload_sessions {_HINTS.get(dialect, '')}"  # noqa: S608 - constants
        " WHERE status = 'open' AND host_key = :host AND path >= :first AND path < :last AND gen < :at_gen"
    )
    for dialect in ("sqlite", "postgresql")
}


def _moved(path: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return where *path* is at the new place."""
    target = sa.bindparam("target", type_=sa.LargeBinary)
    return sa.cast(target.op("||")(sa.func.substr(path, sa.bindparam("beyond"))), sa.LargeBinary)


def _copy(**changed: Any) -> sa.Insert:
    """Return the insertion of what is live within a range, with some columns changed."""
    kept = {column.name: column for column in file_versions.columns}
    columns = kept | {"gen": sa.bindparam("at_gen", type_=sa.BigInteger)} | changed
    return sa.insert(file_versions).from_select(list(columns), sa.select(*columns.values()).where(_IS_LIVE))


_SEQUENCE = sa.bindparam("sequence", type_=sa.BigInteger) + 2 * (sa.func.row_number().over(order_by=v.path) - 1)
_NOW: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)
_ADD_TOMBSTONES = _copy(id=_SEQUENCE, status=sa.literal("deleted"), is_head=sa.literal(0), deleted_ms=_NOW)
"""No heads yet: what they bury still is."""
_ADD_VERSIONS = _copy(id=_SEQUENCE + 1, path=_moved(v.path), stored_ms=_NOW)
_STEP_DOWN = sa.update(file_versions).where(_IS_LIVE).values(is_head=0, status="superseded")
_FROM: sa.BindParameter[int] = sa.bindparam("from_id", type_=sa.BigInteger)
_BECOME_HEADS = (
    sa.update(file_versions)
    .where(v.id >= _FROM, v.id <= sa.bindparam("to_id"), (v.id - _FROM) % 2 == 0)  # not by status: it has an index
    .values(is_head=1)
)
_o = file_versions.alias("old")
_MAKE_ROOM = (
    sa.update(file_versions)
    .where(
        IS_HEAD,
        v.host_key == sa.bindparam("host"),
        v.path.in_(sa.select(_moved(_o.c.path)).where(_live_within(_o))),
    )
    .values(is_head=0)
)
_CHANGE_FACTS = sa.update(file_versions).where(v.id == sa.bindparam("version"))


def apply(
    tx: Transaction,
    owner_id: int,
    host: sa.Row[Any],
    order: MoveTree,
    now_ms: int,
    server_id: str,
    arriving: Collection[bytes] = (),
) -> tuple[Outcome, list[Recorded]]:
    """Move a directory, or say why not. Return also what is new besides its own versions.

    *arriving*: paths of which a version is under way that is not recorded at all.
    """
    seen = _look(tx.conn, owner_id, host, order)
    if trees.is_stale(order, seen):
        return Outcome(Verdict.STALE, gen=seen.newest_gen), []
    again = trees.repeated(order, seen)
    entries = again.entries if again is not None else trees.movable(order, seen)
    if entries is None or trees.is_too_long(order, entries):
        return Outcome(Verdict.CONFLICT), []
    if seen.lacks_content:
        return Outcome(Verdict.MISSING), []
    if again is not None:
        return Outcome(Verdict.STORED, moved=again), []
    moved = Moved(order, entries, sql_versions.last_sequence(tx.conn) + 1, now_ms)
    _write(tx, owner_id, host.id, moved)
    late = _late(tx.conn, host.id, moved, arriving)
    _, new = sql_versions.apply(
        tx, owner_id, host, [Delete(path, order.gen, None) for path in late], {}, now_ms, server_id
    )
    return Outcome(Verdict.STORED, moved=moved), new


def _look(conn: sa.Connection, owner_id: int, host: sa.Row[Any], order: MoveTree) -> Seen:
    source, target = (_asked(owner_id, host.id, folder, order.gen) for folder in (order.source, order.path))
    newest = -1
    if host.highest_gen >= order.gen:
        found = [conn.execute(NEWEST_GEN, span).scalar() for span in (*source, *target)]
        newest = max((gen for gen in found if gen is not None), default=-1)
    if newest > order.gen:
        return Seen(newest, (), (), False, False)
    if newest == order.gen:
        heads = [Head(*row) for span in (*source, *target) for row in conn.execute(OF_GEN, span)]
        return Seen(newest, (), heads, False, _any(conn, LACKS_CONTENT, target))
    there = [Head(*row) for span in source for row in conn.execute(THERE, span | {"limit": order.count + 1})]
    return Seen(newest, there, (), _any(conn, ANY_LIVE, target), _any(conn, LACKS_CONTENT, source))


def _asked(owner_id: int, host_key: int, folder: bytes, gen: int) -> list[dict[str, Any]]:
    """Return the parameters that mean a directory: its own path, and what lies below it."""
    whose = {"owner": owner_id, "host": host_key, "at_gen": gen}
    return [whose | {"first": first, "last": last} for first, last in trees.spans(folder)]


def _any(conn: sa.Connection, statement: sa.Select[Any], spans: Iterable[dict[str, Any]]) -> bool:
    return any(conn.execute(statement, span).first() is not None for span in spans)


def _write(tx: Transaction, owner_id: int, host_key: int, moved: Moved) -> None:
    order, conn = moved.order, tx.conn
    own, inside = _asked(owner_id, host_key, order.source, order.gen)
    common = {"now": moved.stored_ms, "target": order.path, "beyond": len(order.source) + 1}
    source = [
        own | common | {"sequence": moved.first_sequence},
        inside | common | {"sequence": moved.first_sequence + 2 * moved.has_own_entry},
    ]
    if _any(conn, ANY_HEAD, _asked(owner_id, host_key, order.path, order.gen)):
        for span in source:
            conn.execute(_MAKE_ROOM, span)
    for statement in (_ADD_VERSIONS, _ADD_TOMBSTONES, _STEP_DOWN):
        for span in source:
            conn.execute(statement, span)
    conn.execute(_BECOME_HEADS, {"from_id": moved.first_sequence, "to_id": moved.last_sequence})
    said = {name: value for name, value in sql_versions.fact_values(order.facts).items() if name in CHANGEABLE}
    said = {name: value for name, value in said.items() if value is not None}
    if said and moved.has_own_entry:
        conn.execute(_CHANGE_FACTS.values(said), {"version": moved.first_sequence + 1})
    sql_versions.give(tx, host_key, moved.last_sequence, order.gen)
    tx.counts["deletions"] += len(moved.entries)


def _late(conn: sa.Connection, host_key: int, moved: Moved, arriving: Collection[bytes]) -> list[bytes]:
    """Return paths below the old place of which an older version is still under way, and was not moved: it must find
    itself outdated when it comes, because the directory is not there any more."""
    order, found = moved.order, set()
    for span in _asked(0, host_key, order.source, order.gen):
        found |= set(conn.execute(UPLOADING[conn.dialect.name], span).scalars())
    found |= {path for path in arriving if is_beneath(path, order.source)}
    return sorted(found - {placed(order.source, entry.relative) for entry in moved.entries}) if found else []
