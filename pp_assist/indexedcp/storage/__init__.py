"""Places that keep dictionaries by key."""

from typing import Any

from pp_assist.indexedcp.storage.base import BaseStorage
from pp_assist.indexedcp.storage.sqlite import SQLiteStorage

__all__ = ["BaseStorage", "SQLiteStorage", "create_storage"]

_KINDS = {"sqlite": SQLiteStorage, "sql": SQLiteStorage, "db": SQLiteStorage}


def create_storage(storage_type: str = "sqlite", **options: Any) -> BaseStorage:
    """Return a storage, still to be initialized. *options* are those of its class.

    Raises:
        ValueError: there is none of that type.
    """
    kind = _KINDS.get(storage_type.lower())
    if kind is None:
        raise ValueError(f"Unknown storage type: {storage_type} (known: {', '.join(_KINDS)})")
    return kind(**options)
