"""Statements that fill an empty database from the receipts log."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pp_server.core.model import KeyRecord
from pp_server.core.recorded import Recorded, Whose
from pp_server.core.versions import Version
from pp_server.metadata import sql_blobs, sql_files, sql_state, sql_versions
from pp_server.metadata.engine import Transaction
from pp_server.metadata.sql_keys import ensure_owner
from pp_server.metadata.sql_state import upsert
from pp_server.metadata.tables import IS_LIVE, api_keys, blobs, file_versions, hosts, sequences

v = file_versions.c
_ADD = upsert(file_versions, lambda new: new.values(blob=sql_versions.BLOB).on_conflict_do_nothing())
_COUNT = sa.select(sa.func.count()).select_from(file_versions)


def restore(tx: Transaction, entries: Sequence[Recorded], now_ms: int) -> int:
    """Add versions; the first record of each wins."""
    sql_state.set_server_id(tx.conn, entries[0].whose.server_id)
    before = tx.conn.execute(_COUNT).scalar_one()
    contents = ((entry.version.sha256, entry.version.size_bytes) for entry in entries)
    sql_blobs.name(tx, ((digest, size) for digest, size in contents if digest is not None), now_ms)
    known: dict[Whose, tuple[int, int]] = {}
    rows = []
    for version, whose, hostname, *_ in entries:
        if whose not in known:
            owner = ensure_owner(tx, whose.owner, now_ms)
            host = sql_files.ensure_host(tx, owner, whose.host_id, hostname, None, now_ms)
            known[whose] = owner, host.id
        rows.append(_row(version, *known[whose]))
    tx.conn.execute(_ADD(tx.conn), rows)
    return int(tx.conn.execute(_COUNT).scalar_one() - before)


def _row(version: Version, owner_id: int, host_key: int) -> dict[str, Any]:
    return {
        "id": version.sequence,
        "owner_id": owner_id,
        "host_key": host_key,
        "path": version.path,
        "gen": version.gen,
        "status": version.status,
        "is_head": 0,
        **sql_versions.fact_values(version.facts),
        "sha256": version.sha256,
        "digest": version.sha256,
        "size_bytes": version.size_bytes,
        "stored_ms": version.stored_ms,
        "deleted_ms": version.deleted_ms,
    }


def restore_keys(tx: Transaction, keys: Sequence[KeyRecord]) -> None:
    """Add keys as they were, each with its owner."""
    for key in keys:
        owner = ensure_owner(tx, key.owner, key.created_ms)
        row = {name: getattr(key, name) for name in _KEY_COLUMNS}
        tx.conn.execute(sa.insert(api_keys), row | {"owner_id": owner, "scopes": " ".join(sorted(key.scopes))})


_KEY_COLUMNS = ("id", "name", "host_id", "secret_sha256", "created_ms", "last_used_ms", "revoked_ms")


def finish(tx: Transaction) -> int:
    """Make the newest version of each path its head, and let numbers go on where they were."""
    other = file_versions.alias()
    newer = sa.exists().where(other.c.host_key == v.host_key, other.c.path == v.path, other.c.gen > v.gen)
    tx.conn.execute(sa.update(file_versions).where(~newer).values(is_head=1))
    tx.conn.execute(sa.update(file_versions).where(v.is_head == 0, v.status == "active").values(status="superseded"))
    highest = sa.select(sa.func.coalesce(sa.func.max(v.gen), 0)).where(v.host_key == hosts.c.id).scalar_subquery()
    tx.conn.execute(sa.update(hosts).values(highest_gen=highest))
    last = tx.conn.execute(sa.select(sa.func.coalesce(sa.func.max(v.id), 0))).scalar_one()
    tx.conn.execute(sa.update(sequences).where(sequences.c.name == "version").values(last=last))
    sql_state.save_receipts_logged(tx.conn, last)
    there = sa.exists().where(blobs.c.id == v.blob, blobs.c.state == "present")
    lacking = _COUNT.where(IS_LIVE, v.blob.is_not(None), ~there)
    return int(tx.conn.execute(lacking).scalar_one())
