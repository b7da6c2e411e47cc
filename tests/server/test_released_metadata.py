"""Databases as earlier versions left them: each must still open, with everything in it. Never edit the dumps."""

import sqlite3
from pathlib import Path

import pytest

from pp_server.core.extents import Blob, whole_file
from pp_server.durable import Durable
from pp_server.metadata import migrations
from pp_server.metadata.store import SqliteMetadata
from pp_server.wire.digest import Digest

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


async def test_versions_without_their_content_are_told_apart_when_blobs_get_numbers(tmp_path: Path) -> None:
    """Where a database was made again from the log, and not all of the content was found."""
    path, lost = str(tmp_path / "pp.db"), Digest("1" * 64)
    conn = sqlite3.connect(path)
    conn.executescript((Path(__file__).parent / "released" / "server-0004.sql").read_text())
    conn.execute(
        "INSERT INTO file_versions"
        " (id, owner_id, host_key, path, gen, status, is_head, kind, sha256, size_bytes, stored_ms)"
        " SELECT 7, owner_id, host_key, CAST('/lost' AS BLOB), 99, 'active', 1, 'file', ?, 5, 1 FROM file_versions"
        " WHERE id = 1",
        (lost,),
    )
    conn.execute("UPDATE sequences SET last = 7")
    conn.commit()
    conn.close()
    store = await SqliteMetadata.open(path, Durable())
    try:
        (key,) = await store.list_keys()
        assert await store.held(key.owner_id, [lost]) == set()
        assert (await store.stats())["blobs"] == 5
        there = [blob.sha256 for blob in await store.page_of_blobs(None, 9)]
        assert len(await store.find_blobs(there)) == 5
        await store.record_blobs([Blob(lost, 5, whole_file(lost, 5))], 2)  # it comes after all
        assert await store.held(key.owner_id, [lost]) == {lost}
        assert (await store.find_blobs([lost]))[lost] == Blob(lost, 5, whole_file(lost, 5))
    finally:
        await store.close()
