"""Statements about owners and keys."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from pp_server.core.model import KeyRecord, NewKey, Scope
from pp_server.metadata.engine import Transaction
from pp_server.metadata.tables import api_keys, owners

_KEYS = sa.select(api_keys, owners.c.name.label("owner")).join(owners, owners.c.id == api_keys.c.owner_id)
_KEY = _KEYS.where(api_keys.c.id == sa.bindparam("key_id"))
_OWNER = sa.select(owners.c.id).where(owners.c.name == sa.bindparam("name"))


def create_key(tx: Transaction, key: NewKey, now_ms: int) -> KeyRecord:
    """Keep a new key; create its owner where that is a new name."""
    row = {
        "id": key.id,
        "owner_id": ensure_owner(tx, key.owner, now_ms),
        "name": key.name,
        "scopes": " ".join(sorted(key.scopes)),
        "host_id": key.host_id,
        "secret_sha256": key.secret_sha256,
        "created_ms": now_ms,
    }
    tx.conn.execute(sa.insert(api_keys), row)
    return _one(tx.conn, key.id)


def ensure_owner(tx: Transaction, name: str, now_ms: int) -> int:
    """Return the owner's row id, creating the row."""
    owner_id = tx.conn.execute(_OWNER, {"name": name}).scalar()
    if owner_id is None:
        created = tx.conn.execute(sa.insert(owners), {"name": name, "created_ms": now_ms})
        assert created.inserted_primary_key is not None
        owner_id = created.inserted_primary_key[0]
    return int(owner_id)


def list_keys(conn: sa.Connection) -> list[KeyRecord]:
    """Return all keys, oldest first."""
    return [_record(row) for row in conn.execute(_KEYS.order_by(api_keys.c.created_ms, api_keys.c.id))]


def find_key(conn: sa.Connection, key_id: str) -> KeyRecord | None:
    """Return one key."""
    row = conn.execute(_KEY, {"key_id": key_id}).one_or_none()
    return None if row is None else _record(row)


def revoke_key(tx: Transaction, key_id: str, now_ms: int) -> KeyRecord | None:
    """End a key."""
    still_good = (api_keys.c.id == key_id) & api_keys.c.revoked_ms.is_(None)
    tx.conn.execute(sa.update(api_keys).where(still_good).values(revoked_ms=now_ms))
    return find_key(tx.conn, key_id)


def touch_keys(tx: Transaction, used_ms: Mapping[str, int]) -> None:
    """Record when keys were last used."""
    statement = sa.update(api_keys).where(api_keys.c.id == sa.bindparam("key_id"))
    rows = [{"key_id": key_id, "used": used} for key_id, used in used_ms.items()]
    if rows:
        tx.conn.execute(statement.values(last_used_ms=sa.bindparam("used")), rows)


def _one(conn: sa.Connection, key_id: str) -> KeyRecord:
    return _record(conn.execute(_KEY, {"key_id": key_id}).one())


def _record(row: sa.Row[Any]) -> KeyRecord:
    return KeyRecord(
        row.id,
        row.owner_id,
        row.owner,
        row.name,
        frozenset(Scope(word) for word in row.scopes.split()),
        row.host_id,
        row.secret_sha256,
        row.created_ms,
        row.last_used_ms,
        row.revoked_ms,
    )
