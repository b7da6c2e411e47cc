"""Statements around a `Plan`: what it needs to know, and the rows it comes to. A constant number of statements."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pp_server.core.model import Facts, VersionStatus
from pp_server.core.recorded import Recorded, Whose, recorded
from pp_server.core.versions import Move, Operation, Outcome, Plan, Put, Version
from pp_server.metadata import sql_blobs
from pp_server.metadata.bulk import Added, Listed
from pp_server.metadata.engine import Transaction
from pp_server.metadata.tables import (
    IS_HEAD,
    blobs,
    file_versions,
    hosts,
    owners,
    sequences,
)
from pp_server.wire.digest import Digest

v = file_versions.c
_PATHS: sa.BindParameter[Any] = sa.bindparam("paths", expanding=True)
HEADS = sa.select(file_versions).where(IS_HEAD, v.host_key == sa.bindparam("host_key"), v.path.in_(_PATHS))
_FIND_HEADS = Listed(HEADS, "paths")
_STEP_DOWN = (
    sa.update(file_versions).where(v.id == sa.bindparam("version")).values(is_head=0, status=sa.bindparam("to"))
)
BLOB = sa.select(blobs.c.id).where(blobs.c.sha256 == sa.bindparam("digest")).scalar_subquery()
"""The number of the content that *digest* says."""
_ADD = Added(sa.insert(file_versions).values(blob=BLOB), [*(c.key for c in v if c is not v.blob), "digest"])
_RAISE_GEN = (
    sa.update(hosts)
    .where(hosts.c.id == sa.bindparam("host_key"), hosts.c.highest_gen < sa.bindparam("gen"))
    .values(highest_gen=sa.bindparam("gen"))
)
_OWNER = sa.select(owners.c.name).where(owners.c.id == sa.bindparam("owner_id"))
_LAST = sa.select(sequences.c.last).where(sequences.c.name == "version").with_for_update()
_GIVE = sa.update(sequences).where(sequences.c.name == "version").values(last=sa.bindparam("to"))


def fact_values(facts: Facts) -> dict[str, Any]:
    """Return the facts by column."""
    return facts._asdict()


def heads(conn: sa.Connection, host_key: int, paths: Collection[bytes]) -> dict[bytes, Version]:
    """Return the newest version of each path that has one, tombstones included."""
    return {row.path: version(row) for row in _FIND_HEADS.rows(conn, paths, host_key=host_key)}


def apply(
    tx: Transaction,
    owner_id: int,
    host: sa.Row[Any],
    operations: Sequence[Operation],
    arrived: Mapping[Digest, int],
    now_ms: int,
    server_id: str,
) -> tuple[list[Outcome], list[Recorded]]:
    """Apply operations on one host's paths, in order; return their outcomes, and the versions that are new.

    *arrived*: contents (and their sizes) that are good, and whose bytes came with this very request.
    """
    known = heads(tx.conn, host.id, _paths(operations))
    contents = sql_blobs.sizes(tx.conn, _digests(operations, known) - arrived.keys(), owner_id)
    contents.update(arrived)
    last = int(tx.conn.execute(_LAST).scalar_one())
    plan = Plan(known, contents, host.highest_gen, last + 1, now_ms)
    outcomes = [plan.apply(operation) for operation in operations]
    _write(tx, plan, owner_id, host.id, last)
    if not plan.added:
        return outcomes, []
    who = whose(tx.conn, owner_id, host, server_id)
    return outcomes, [recorded(each, who, host.hostname) for each in plan.recorded]


def whose(conn: sa.Connection, owner_id: int, host: sa.Row[Any], server_id: str) -> Whose:
    """Return what receipts for this host's versions say besides the versions."""
    return Whose(server_id, conn.execute(_OWNER, {"owner_id": owner_id}).scalar_one(), host.host_id)


def _paths(operations: Sequence[Operation]) -> set[bytes]:
    return {each.path for each in operations} | {each.source for each in operations if isinstance(each, Move)}


def _digests(operations: Sequence[Operation], known: dict[bytes, Version]) -> set[Digest]:
    """Return the contents that operations may come to use: those they name, and those of what they change."""
    wanted = {each.sha256 for each in operations if isinstance(each, Put)}
    changed = [each.source if isinstance(each, Move) else each.path for each in operations]
    kept = {known[path].sha256 for path in changed if path in known}
    return {digest for digest in wanted | kept if digest is not None}


def _write(tx: Transaction, plan: Plan, owner_id: int, host_key: int, last: int) -> None:
    added = plan.added
    if not added:
        return
    if plan.stepped_down:
        tx.conn.execute(_STEP_DOWN, [{"version": each, "to": to} for each, to in plan.stepped_down.items()])
    add(tx.conn, owner_id, host_key, added)
    give(tx, host_key, last + len(added), plan.highest_gen)
    tx.counts["deletions"] += plan.deletions


def give(tx: Transaction, host_key: int, last: int, highest_gen: int) -> None:
    """All sequences up to *last* are given; the host has reached *highest_gen*."""
    tx.conn.execute(_GIVE, {"to": last})
    tx.conn.execute(_RAISE_GEN, {"host_key": host_key, "gen": highest_gen})


def add(conn: sa.Connection, owner_id: int, host_key: int, versions: Iterable[Version]) -> None:
    """Add versions of one host's paths. Their contents have numbers already."""
    rows = []
    for sequence, path, gen, status, is_head, facts, sha256, size_bytes, stored_ms, deleted_ms in versions:
        kind, mtime, mode, uid, gid, user, group, target, inconsistent = facts
        # fmt: off
        rows.append((
            sequence, owner_id, host_key, path, gen, status.value, int(is_head), kind, sha256, size_bytes, mtime, mode,
            uid, gid, user, group, target, int(inconsistent), stored_ms, deleted_ms, sha256,
        ))
        # fmt: on
    _ADD.rows(conn, rows)


def version(row: sa.Row[Any]) -> Version:
    """Return a row of file_versions as a value."""
    return Version(
        row.id,
        row.path,
        row.gen,
        VersionStatus(row.status),
        bool(row.is_head),
        Facts(*(getattr(row, name) for name in Facts._fields)),
        row.sha256,
        row.size_bytes,
        row.stored_ms,
        row.deleted_ms,
    )


_RECORDED = (
    sa.select(file_versions, hosts.c.host_id, hosts.c.hostname, owners.c.name.label("owner"))
    .join_from(file_versions, hosts, hosts.c.id == v.host_key)
    .join(owners, owners.c.id == v.owner_id)
)


def recorded_after(conn: sa.Connection, sequence: int, limit: int, server_id: str) -> list[Recorded]:
    """Return versions beyond *sequence*, in order, as they were recorded."""
    rows = conn.execute(_RECORDED.where(v.id > sequence).order_by(v.id).limit(limit))
    return [_recorded(row, server_id) for row in rows]


def last_sequence(conn: sa.Connection) -> int:
    """Return the sequence of the newest version."""
    return int(conn.execute(_LAST).scalar_one())


def find_recorded(conn: sa.Connection, owner_id: int, sequence: int, server_id: str) -> Recorded | None:
    """Return one version of the owner."""
    row = conn.execute(_RECORDED.where(v.id == sequence, v.owner_id == owner_id)).one_or_none()
    return None if row is None else _recorded(row, server_id)


def _recorded(row: sa.Row[Any], server_id: str) -> Recorded:
    return recorded(version(row), Whose(server_id, row.owner, row.host_id), row.hostname)
