"""A damaged database costs looking at everything anew: no file, no watched folder, no server, no byte on the way."""

import os
import random
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from pair import Pair, noise, write

from pp_assist.memory import opened_memory
from pp_assist.store import keepsake
from pp_assist.store.db import DatabaseUnusable, migrations

PAGE = 4096


def garbage(database: Path) -> None:
    database.write_bytes(b"not a database at all" * 500)


def a_little_garbage(database: Path) -> None:
    database.write_bytes(b"x")


def empty(database: Path) -> None:
    database.write_bytes(b"")


def gone(database: Path) -> None:
    database.unlink()


def cut(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2 // PAGE * PAGE)


def cut_within_a_page(database: Path) -> None:
    os.truncate(database, database.stat().st_size - 1000)


def flipped(database: Path) -> None:
    content = bytearray(database.read_bytes())
    chance = random.Random(1)
    for page in range(PAGE, len(content), PAGE):
        for _ in range(20):
            content[page + chance.randrange(PAGE)] ^= 0xFF
    database.write_bytes(content)


def anothers(database: Path) -> None:
    database.unlink()
    with sqlite3.connect(database) as conn:
        conn.execute("CREATE TABLE daemon_state (name, value)")
    conn.close()


def overwrite(database: Path, what: str) -> None:
    """Damage the first page of one table or index."""
    with sqlite3.connect(database) as conn:
        (page,) = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (what,)).fetchone()
    conn.close()
    with open(database, "r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xff" * PAGE)


DAMAGES = [garbage, a_little_garbage, empty, gone, cut, cut_within_a_page, flipped, anothers]


async def filled(pair: Pair) -> None:
    for n in range(40):
        write(pair.tree / f"d{n % 3}" / f"f{n}", noise(100 + n, n))
    write(pair.tree / "large", noise(400_000, 99))
    await pair.assert_equal()


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "stopped"])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_nothing_is_lost_with_a_database(pair: Pair, damage: Callable[[Path], None], kill: bool) -> None:
    await filled(pair)
    assert pair.daemon
    roots, servers = await pair.daemon.roots.all(), await pair.daemon.servers.all()
    keys = await pair.daemon.db.rows("SELECT * FROM receipt_keys")
    await (pair.kill_daemon() if kill else pair.stop_daemon())
    database = pair.state / "assist.db"
    damage(database)
    left = database.read_bytes() if database.exists() else None
    (pair.tree / "d0" / "f0").unlink()
    write(pair.tree / "new", "x")
    await pair.start_daemon()
    if damage is cut_within_a_page and pair.daemon.memory.rebuilt is None:
        return  # SQLite had no use for the last page
    assert pair.daemon.memory.rebuilt
    (folder,) = (pair.state / "quarantine").iterdir()
    assert str(folder) in pair.daemon.memory.rebuilt
    if left is not None:
        assert (folder / "assist.db").read_bytes() == left, "what was found is kept as it was found"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [root.path for root in await pair.daemon.roots.all()] == [root.path for root in roots]
    assert [(s.name, s.url, s.api_key, s.trust) for s in await pair.daemon.servers.all()] == [
        (s.name, s.url, s.api_key, s.trust) for s in servers
    ]
    await pair.assert_equal()
    assert pair.bytes_sent == 1, "the server had everything else"
    assert [tuple(row) for row in await pair.daemon.db.rows("SELECT * FROM receipt_keys")] == [tuple(k) for k in keys]


@pytest.mark.parametrize("table", ["files", "work", "directories"])
async def test_damage_that_comes_to_light_later_does_the_same(pair: Pair, table: str) -> None:
    await filled(pair)
    await pair.stop_daemon()
    overwrite(pair.state / "assist.db", table)
    (pair.tree / "d0" / "f0").unlink()
    await pair.start_daemon()
    assert pair.daemon
    if pair.daemon.memory.rebuilt is None:
        await pair.begin_anew_when_damaged()
    assert pair.daemon.memory.rebuilt
    await pair.assert_equal()
    assert pair.bytes_sent == 0


async def test_the_copy_is_private_and_follows_every_change(pair: Pair) -> None:
    assert pair.daemon
    copy = pair.state / "keepsake.json"

    def told() -> dict[str, int]:
        kept = keepsake.from_text(copy.read_text())
        assert kept is not None
        return {table: len(rows) for table, rows in kept.tables.items()}

    await pair.settle()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert told() == {
        "servers": 1,
        "roots": 1,
        "receipt_keys": 1,
        "forgotten_roots": 0,
        "excludes": 0,
        "drop_folders": 0,
    }
    await pair.daemon.excludes.add("*.tmp", 0)
    assert told()["excludes"] == 1
    await pair.daemon.excludes.remove(1)
    other = await pair.daemon.servers.add("other", "http://other", "key", 0)
    assert told()["servers"] == 2
    await pair.daemon.servers.remove(other.id)
    await pair.daemon.roots.remove(1)
    assert told() == {
        "servers": 1,
        "roots": 0,
        "receipt_keys": 1,
        "forgotten_roots": 1,
        "excludes": 0,
        "drop_folders": 0,
    }


async def test_a_copy_that_is_behind_or_damaged_gives_way_to_the_database(pair: Pair) -> None:
    await filled(pair)
    copy = pair.state / "keepsake.json"
    behind = copy.read_bytes()
    for content in (behind, b"damaged" + behind):
        assert pair.daemon
        await pair.daemon.servers.add(f"other {len(content)}", "http://other", "key", 0)
        servers = len(await pair.daemon.servers.all())
        await pair.kill_daemon()
        copy.write_bytes(content)
        overwrite(pair.state / "assist.db", "files_by_state")  # everything else can be read, and is right
        await pair.start_daemon()
        assert pair.daemon.memory.rebuilt
        assert len(await pair.daemon.servers.all()) == servers
        await pair.assert_equal()


async def test_the_copy_is_made_where_there_is_none(pair: Pair) -> None:
    await filled(pair)
    await pair.stop_daemon()
    (pair.state / "keepsake.json").unlink()
    await pair.start_daemon()
    gone(pair.state / "assist.db")
    await pair.kill_daemon()
    for beside in pair.state.glob("assist.db*"):
        beside.unlink()
    await pair.start_daemon()
    assert pair.daemon
    assert pair.daemon.memory.rebuilt
    await pair.assert_equal()
    assert pair.bytes_sent == 0


async def test_a_database_of_a_newer_version_is_left_alone(pair: Pair) -> None:
    await filled(pair)
    await pair.kill_daemon()
    database = pair.state / "assist.db"
    with sqlite3.connect(database) as conn:
        conn.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    conn.close()
    before = database.read_bytes()
    with pytest.raises(DatabaseUnusable, match="newer version"):
        async with opened_memory(str(database)):
            pass
    assert database.read_bytes() == before
    assert not (pair.state / "quarantine").exists()
