"""The storage of IndexedCP: dictionaries by key, in a table of an SQLite file."""

import asyncio
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from pp_assist.indexedcp import BaseStorage, SQLiteStorage, create_storage


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "folder" / "data.db")


VALUE: dict[str, Any] = {"name": "Ålice", "nested": {"list": [1, 2.5, None, True]}, "none": None, "yes": True}


async def test_what_is_saved_is_loaded_also_by_the_next_one(path: str) -> None:
    async with SQLiteStorage(db_path=path) as storage:
        await storage.save("user:1", VALUE)
        assert await storage.load("user:1") == VALUE
        assert await storage.load("user:2") is None
        assert await storage.exists("user:1") and not await storage.exists("user:2")
    async with SQLiteStorage(db_path=path) as storage:
        assert await storage.load("user:1") == VALUE


async def test_keys_come_in_the_order_of_their_creation(path: str) -> None:
    async with SQLiteStorage(db_path=path) as storage:
        for key in "cab":
            await storage.save(key, {"key": key})
        await storage.save("a", {"key": "again"})
        assert await storage.list() == ["c", "a", "b"]
        assert [record["key"] for record in await storage.load_all()] == ["c", "again", "b"]
        assert await storage.count() == 3
        assert await storage.delete("a") is True
        assert await storage.delete("a") is False
        assert await storage.list() == ["c", "b"]


async def test_old_entries_are_cleaned_up_by_when_they_came(path: str) -> None:
    async with SQLiteStorage(db_path=path) as storage:
        for key in ("old", "new"):
            await storage.save(key, {})
        assert storage.connection is not None
        storage.connection.execute("UPDATE storage SET created_at = ? WHERE key = 'old'", (time.time() - 100,))
        await storage.save("old", {"touched": True})
        assert await storage.cleanup_old(50) == 1
        assert await storage.list() == ["new"]


async def test_two_tables_in_one_file_do_not_mix(path: str) -> None:
    async with SQLiteStorage(path, "one") as one, SQLiteStorage(path, "two") as two:
        await one.save("key", {"n": 1})
        await two.save("key", {"n": 2})
        assert await one.load("key") == {"n": 1}
        assert await two.cleanup_old(-1) == 1
        assert await one.count() == 1


@pytest.mark.parametrize("data", ["ab" * 40, "AB" * 40, "abc", "", "not hex", None, 5])
async def test_any_data_comes_back_as_it_was(path: str, data: Any) -> None:
    async with SQLiteStorage(path) as storage:
        await storage.save("k", {"data": data})
        assert await storage.load("k") == {"data": data}


async def test_a_long_hexadecimal_string_lies_there_as_bytes(path: str) -> None:
    async with SQLiteStorage(path) as storage:
        await storage.save("k", {"data": os.urandom(1 << 20).hex()})
    assert os.path.getsize(path) < 1.2 * (1 << 20)


async def test_a_key_may_be_a_name_that_is_no_unicode(path: str) -> None:
    name = os.fsdecode(b"caf\xe9-0")
    async with SQLiteStorage(path) as storage:
        await storage.save(name, {"name": name})
        assert await storage.list() == [name]
        assert await storage.load(name) == {"name": name}
        assert await storage.delete(name)


async def test_before_it_is_initialized_it_says_so(path: str) -> None:
    storage = SQLiteStorage(path)
    for call in (storage.save("k", {}), storage.load("k"), storage.load_all(), storage.list(), storage.count()):
        with pytest.raises(RuntimeError, match="not initialized"):
            await call
    await storage.close()


async def test_the_connection_is_a_plain_one_for_any_thread(path: str) -> None:
    storage = create_storage("sqlite", db_path=path, table_name="custom_table", log_level="DEBUG")
    assert isinstance(storage, SQLiteStorage)
    await storage.initialize()
    await storage.initialize()
    assert isinstance(storage.connection, sqlite3.Connection)
    mode = await asyncio.to_thread(storage.connection.execute, "PRAGMA journal_mode")
    assert mode.fetchone() == ("wal",)
    await storage.close()
    await storage.close()
    assert storage.connection is None


async def test_a_path_that_cannot_be_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    storage = SQLiteStorage(str(tmp_path / "file" / "data.db"))
    with pytest.raises(OSError):
        await storage.initialize()
    (tmp_path / "garbage.db").write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        await SQLiteStorage(str(tmp_path / "garbage.db")).initialize()


async def test_a_full_disk_changes_nothing(path: str) -> None:
    async with SQLiteStorage(path) as storage:
        await storage.save("k", {"n": 1})
        assert storage.connection is not None
        storage.connection.execute("PRAGMA max_page_count = 8")
        with pytest.raises(OSError, match="No space left"):
            await storage.save("k", {"n": "x" * 100_000})
        assert await storage.load("k") == {"n": 1}


async def test_many_at_a_time(path: str) -> None:
    async with SQLiteStorage(path) as storage:
        await asyncio.gather(*(storage.save(str(n), {"n": n}) for n in range(200)))
        assert sorted(int(key) for key in await storage.list()) == list(range(200))


async def test_a_table_that_keeps_everything_as_json_is_taken_over(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    conn = sqlite3.connect(path)
    conn.execute("CREATE TABLE chunks (key TEXT PRIMARY KEY, value TEXT NOT NULL, created_at REAL, updated_at REAL)")
    conn.execute("INSERT INTO chunks VALUES ('f-0', '{\"data\": \"6869\"}', 1.0, 1.0)")
    conn.commit()
    conn.close()
    async with SQLiteStorage(path, "chunks") as storage:
        assert await storage.load("f-0") == {"data": "6869"}


def test_the_interface_cannot_be_made() -> None:
    with pytest.raises(TypeError):
        BaseStorage()  # type: ignore[abstract]


def test_types_and_names_that_are_none() -> None:
    with pytest.raises(ValueError, match="Unknown storage type"):
        create_storage("mongodb")
    with pytest.raises(ValueError, match="Invalid table name"):
        SQLiteStorage("x.db", "a; DROP TABLE b")
    assert {type(create_storage(kind)) for kind in ("sqlite", "SQL", "db")} == {SQLiteStorage}
