"""Real processes: whatever happens to the daemon's database, it goes on with everything it had been told."""

import os
import sqlite3
from pathlib import Path

import pytest

from tests.e2e.harness import World


def overwrite(database: Path, table: str) -> None:
    with sqlite3.connect(database) as conn:
        (page,) = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        (size,) = conn.execute("PRAGMA page_size").fetchone()
    conn.close()
    with open(database, "r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


@pytest.mark.parametrize("damage", ["work", "files", "garbage", "gone"])
def test_a_damaged_database_is_begun_anew(running: World, damage: str) -> None:
    for number in range(50):
        running.write(f"d/{number}", os.urandom(2000))
    running.finish()
    daemon, database = running.daemon, running.daemon.state / "assist.db"
    assert daemon.stop() == 0
    if damage == "gone":
        database.unlink()
    elif damage == "garbage":
        database.write_bytes(os.urandom(100_000))
    else:
        overwrite(database, damage)
    os.unlink(running.path("d/7"))
    daemon.start()
    running.soon_equal(60)
    running.finish()
    assert daemon.bytes_sent == 0
    (warning,) = [w for w in daemon.ask("GET", "/status")["warnings"] if w["code"] == "database_rebuilt"]
    (folder,) = (daemon.state / "quarantine").iterdir()
    assert str(folder) in warning["text"]
    assert any("ERROR" in line and "quarantine" in line for line in daemon.log_lines())
    assert str(folder) in daemon.cli("status").stdout
    daemon.restart()
    assert daemon.ask("GET", "/status")["warnings"] == []
