"""The database file: private, migrated, honest about damage; transactions are all or nothing."""

import asyncio
import os
import sqlite3
import stat

import pytest

from pp_assist.store import db as db_module
from pp_assist.store.db import Database, DatabaseDamaged, DatabaseUnusable, migrations, open_database

RAISE = "UPDATE daemon_state SET value = value + 1 WHERE name = 'gen'"
GEN = "SELECT value FROM daemon_state WHERE name = 'gen'"


async def test_it_is_readable_by_its_owner_only(db: Database, path: str) -> None:
    for name in (path, f"{path}-wal", f"{path}-shm"):
        assert stat.S_IMODE(os.stat(name).st_mode) & 0o077 == 0, name


async def test_commits_are_durable_and_foreign_keys_hold(db: Database) -> None:
    async with db.transaction() as tx:
        for pragma, value in {"synchronous": 2, "foreign_keys": 1, "journal_mode": "wal"}.items():
            (row,) = await tx.execute_fetchall(f"PRAGMA {pragma}")
            assert row[0] == value


async def test_an_exception_rolls_back(db: Database) -> None:
    with pytest.raises(ValueError, match="no"):
        async with db.transaction() as tx:
            await tx.execute(RAISE)
            raise ValueError("no")
    assert await db.value(GEN) == 0


async def test_a_cancelled_transaction_rolls_back_and_frees_the_connection(db: Database) -> None:
    entered = asyncio.Event()

    async def never_ends() -> None:
        async with db.transaction() as tx:
            await tx.execute(RAISE)
            entered.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(never_ends())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with db.transaction() as tx:
        await tx.execute(RAISE)
    assert await db.value(GEN) == 1


async def test_transactions_wait_for_each_other(db: Database) -> None:
    async def add() -> None:
        async with db.transaction() as tx:
            (row,) = await tx.execute_fetchall(GEN)
            await asyncio.sleep(0)
            await tx.execute("UPDATE daemon_state SET value = ? WHERE name = 'gen'", (row[0] + 1,))

    await asyncio.gather(*(add() for _ in range(50)))
    assert await db.value(GEN) == 50


async def test_a_schema_is_made_once_and_kept(path: str) -> None:
    async with open_database(path) as first, first.transaction() as tx:
        await tx.execute(RAISE)
    async with open_database(path) as second:
        assert await second.value(GEN) == 1
        assert await second.value("PRAGMA user_version") == len(migrations())


async def test_a_newer_database_is_refused(path: str) -> None:
    async with open_database(path):
        pass
    with sqlite3.connect(path) as conn:
        conn.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    with pytest.raises(DatabaseUnusable, match="newer version") as refused:
        async with open_database(path):
            pass
    assert not isinstance(refused.value, DatabaseDamaged), "it is as good as it can be"


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_database(path):
        pass
    scripts = [*migrations(), "CREATE TABLE half (x); CREATE TABLE broken (;"]
    monkeypatch.setattr(db_module, "migrations", lambda: scripts)
    with pytest.raises(DatabaseUnusable) as refused:
        async with open_database(path):
            pass
    assert not isinstance(refused.value, DatabaseDamaged)
    monkeypatch.undo()
    async with open_database(path) as again:
        assert await again.value("PRAGMA user_version") == len(migrations())
        assert await again.value("SELECT COUNT(*) FROM sqlite_schema WHERE name = 'half'") == 0


@pytest.mark.parametrize("damage", ["not a database at all" * 500, "page"])
async def test_damage_is_said_and_never_taken_for_empty(path: str, damage: str) -> None:
    async with open_database(path) as database, database.transaction() as tx:
        await tx.execute("UPDATE daemon_state SET value = 0 WHERE name = 'clean_shutdown'")
    with open(path, "r+b") as file:
        if damage == "page":
            size = file.seek(0, os.SEEK_END)
            for page in range(4096, size, 4096):
                file.seek(page)
                file.write(os.urandom(1000))
        else:
            file.write(damage.encode())
    with pytest.raises(DatabaseDamaged):
        async with open_database(path):
            pass


async def test_a_path_with_odd_characters_works(tmp_path: os.PathLike[str]) -> None:
    folder = os.path.join(tmp_path, "50% #1 ?")
    os.mkdir(folder)
    async with open_database(os.path.join(folder, "a.db")) as database:
        assert await database.value(GEN) == 0
