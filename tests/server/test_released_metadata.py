"""Databases as earlier versions left them: each must still open, with everything in it. Never edit the dumps."""

import sqlite3
from pathlib import Path

import pytest

from pp_server.durable import Durable
from pp_server.metadata import migrations
from pp_server.metadata.store import SqliteMetadata

RELEASED = sorted((Path(__file__).parent / "released").glob("server-*.sql"))


@pytest.mark.parametrize("dump", RELEASED, ids=lambda path: path.stem)
async def test_a_released_database_opens_with_everything_in_it(dump: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "pp.db")
    conn = sqlite3.connect(path)
    conn.executescript(dump.read_text())
    conn.close()
    store = await SqliteMetadata.open(path, Durable())
    try:
        stats = await store.stats()
        assert (stats["files"], stats["blobs"], stats["deletions"]) == (3, 5, 1)
        (key,) = await store.list_keys()
        assert key.owner == "tests"
    finally:
        await store.close()
    conn = sqlite3.connect(path)
    assert conn.execute("SELECT COUNT(*) FROM file_versions").fetchone()[0] == 6
    assert conn.execute("PRAGMA foreign_key_check").fetchall() == []
    conn.close()


def test_every_migration_has_a_released_database() -> None:
    folder = Path(migrations.__path__[0]) / "versions"
    assert [path.stem for path in RELEASED] == [f"server-{path.stem[:4]}" for path in sorted(folder.glob("0*.py"))]
