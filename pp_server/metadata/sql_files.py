"""Statements about hosts, batches and deletions."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from pp_server.core.model import (
    DeletionOrder,
    DeletionOutcome,
    DeletionStatus,
    Host,
    VersionStatus,
)
from pp_server.core.recorded import Recorded
from pp_server.core.trees import MoveTree
from pp_server.core.versions import Delete, Operation, Outcome
from pp_server.metadata import sql_blobs, sql_trees, sql_versions
from pp_server.metadata.base import Applied, Batch
from pp_server.metadata.engine import Transaction
from pp_server.metadata.tables import blobs, file_versions, hosts
from pp_server.wire.digest import Digest

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
