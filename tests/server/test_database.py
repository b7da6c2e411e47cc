"""The database of the server: migrations, indexes, damage."""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from serving import CHUNK, Server, content

from pp_server.core.errors import StartRefused, StorageFailed
from pp_server.core.model import ListingQuery, Position, Shown
from pp_server.durable import Durable
from pp_server.metadata import sql_blobs, sql_listings, sql_sessions, sql_trees, sql_versions, store, tables
from pp_server.metadata.engine import writing_engine
from pp_server.metadata.store import SqliteMetadata


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "pp.db")
    store.prepare(path)
    return path


def test_the_migrations_build_the_tables_we_know(database: str) -> None:
    engine = writing_engine(database)
    with engine.connect() as conn, conn.begin():
        assert compare_metadata(MigrationContext.configure(conn), tables.metadata) == []
    engine.dispose()
    made = sqlite3.connect(":memory:")
    fresh = sa.create_engine("sqlite://", creator=lambda: made)
    tables.metadata.create_all(fresh)
    assert _schema(made) == _schema(sqlite3.connect(database)) - {"alembic_version"}
    fresh.dispose()
    made.close()


def _schema(conn: sqlite3.Connection) -> set[str]:
    """Names, and what comparing columns cannot see: partial indexes, AUTOINCREMENT, WITHOUT ROWID."""
    rows = conn.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    conn.close()
    marks = ("AUTOINCREMENT", "WITHOUT ROWID", "WHERE", "UNIQUE INDEX")
    return {name + "".join(f" {mark}" for mark in marks if mark in sql) for name, sql in rows}


def test_preparing_again_changes_nothing_but_the_epoch(database: str) -> None:
    first = store.prepare(database)
    second = store.prepare(database)
    assert (second.epoch, second.server_id) == (first.epoch + 1, first.server_id)
    assert not second.was_clean


def test_a_database_of_a_newer_program_is_refused(database: str) -> None:
    with sqlite3.connect(database) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    conn.close()
    with pytest.raises(StartRefused, match="newer"):
        store.prepare(database)


@pytest.mark.parametrize("damage", [b"not a database" * 1000, b""])
def test_a_damaged_database_is_refused_and_left_alone(database: str, damage: bytes) -> None:
    with sqlite3.connect(database) as conn:
        conn.executemany("INSERT INTO owners (name, created_ms) VALUES (?, 0)", [(str(n) * 50,) for n in range(500)])
    conn.close()
    data = bytearray(Path(database).read_bytes())
    data[: len(damage)] = damage
    if not damage:  # the first page is fine, a later one is not
        data[-4096:] = b"\xff" * 4096
    Path(database).write_bytes(data)
    with pytest.raises(StartRefused):
        store.prepare(database)
    assert Path(database).read_bytes()[-4096:] == bytes(data[-4096:])


async def test_content_without_its_database_is_refused(running) -> None:
    async with running() as server:
        await (await server.client()).upload("/a", content(CHUNK))
        data_dir = server.data_dir
    (data_dir / "meta" / "pp.db").unlink()
    with pytest.raises(StartRefused, match="missing"):
        async with running():
            pass


def _plan(conn: sa.Connection, statement: sa.Executable, **values: object) -> str:
    compiled = statement.compile(conn)  # type: ignore[attr-defined]
    expanded = compiled.construct_expanded_state(values)
    rows = conn.exec_driver_sql("EXPLAIN QUERY PLAN " + expanded.statement, tuple(expanded.positional_parameters)).all()
    return "\n".join(str(row[-1]) for row in rows)


def test_frequent_questions_are_answered_by_an_index(database: str) -> None:
    engine = writing_engine(database)
    s, v = tables.upload_sessions.c, tables.file_versions.c
    with engine.connect() as conn, conn.begin():

        def plan(statement: sa.Executable, **values: object) -> str:
            found = _plan(conn, statement, **values)
            assert "SCAN" not in found, found
            return found

        assert "uq_upload_sessions_upload_id" in plan(sql_sessions._BY_UPLOAD_ID, upload_id="x", owner_id=1)
        assert "ix_upload_sessions_open" in plan(sql_sessions._OPEN_OF_PATH, host_key=1, path=b"/a")
        assert "ix_upload_sessions_owner (owner_id=? AND expires_ms>?)" in plan(
            sql_sessions._OPEN_OF_OWNER, owner=1, now=5
        )
        assert "ix_upload_sessions_status" in plan(sa.select(s.id).where(tables.IS_OPEN, s.expires_ms <= 5))
        assert "ix_upload_sessions_expires" in plan(sa.select(s.id).where(s.expires_ms < 5))
        assert "ix_upload_sessions_status" in plan(sa.select(s.id).where(s.status == "completed"))
        assert "ix_file_versions_status" in plan(sa.select(v.id).where(v.status == "deleted"))
        assert "uq_file_versions_head" in plan(sql_versions.HEADS, host_key=1, paths=[b"/a", b"/b"])
        assert "ix_file_versions_content" in plan(sql_blobs.OWNED, owner_id=1, digests=["x", "y"])
        assert "ix_blob_extents_container" in plan(
            sql_blobs._MOVE,
            from_container="pack",
            from_name="x",
            from_offset=1,
            to_container="pack",
            to_name="y",
            to_offset=1,
            to_stored_bytes=1,
            to_encoding=1,
        )
        span = {"owner": 1, "host": 1, "first": b"/a/", "last": b"/a0", "at_gen": 7}
        for statement in (sql_trees.THERE, sql_trees.ANY_LIVE, sql_trees.LACKS_CONTENT, sql_trees._STEP_DOWN):
            assert "ix_file_versions_live (owner_id=? AND kind=? AND host_key=? AND path>? AND path<?)" in plan(
                statement, **span, limit=9
            )
        for statement in (sql_trees.NEWEST_GEN, sql_trees.OF_GEN, sql_trees.ANY_HEAD):
            assert "uq_file_versions_head (host_key=? AND path>? AND path<?)" in plan(statement, **span)
        assert "ix_upload_sessions_open (host_key=? AND path>? AND path<?)" in plan(
            sql_trees.UPLOADING["sqlite"], **span
        )
        moved = span | {"target": b"/b", "beyond": 3, "sequence": 9, "now": 1, "from_id": 1, "to_id": 3}
        for statement in (sql_trees._ADD_VERSIONS, sql_trees._ADD_TOMBSTONES):
            found = _plan(conn, statement, **moved)
            assert "SCAN file_versions" not in found
            assert "(host_key=? AND path>? AND path<?)" in found
        found = plan(sql_trees._MAKE_ROOM, **moved)
        assert "uq_file_versions_head (host_key=? AND path=?)" in found
        assert "ix_file_versions_live (owner_id=? AND kind=? AND host_key=? AND path>? AND path<?)" in found
        assert "INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plan(sql_trees._BECOME_HEADS, **moved)
    engine.dispose()


OF_ONE_KIND = "ix_file_versions_live"
OF_ALL = "uq_file_versions_head"
OF_ALL_TIMES = "sqlite_autoindex_file_versions_1"
PREFIX, LATER = b"/d/e", (b"/d/e/f", 7)


@pytest.mark.parametrize("prefix", [None, PREFIX])
@pytest.mark.parametrize("host", [None, "h"])
def test_a_page_of_a_listing_begins_in_an_index_and_sorts_nothing(
    database: str, prefix: bytes | None, host: str | None
) -> None:
    """Else each page of many costs as much as all of them."""
    engine = writing_engine(database)
    asked: list[tuple[str, Any]] = []

    def note(conn: object, cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    with engine.connect() as conn, conn.begin():

        def plans(ask: Callable[[], object]) -> str:
            asked.clear()
            sa.event.listen(conn, "before_cursor_execute", note)
            ask()
            sa.event.remove(conn, "before_cursor_execute", note)
            found = ""
            for statement, parameters in asked:
                if "file_versions" in statement:
                    plan = conn.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters).all()
                    found += "\n".join(str(row[-1]) for row in plan) + "\n"
            assert "TEMP B-TREE" not in found and "SCAN" not in found, found
            return found

        conn.exec_driver_sql("INSERT INTO owners VALUES (1, 'o', 0)")
        conn.exec_driver_sql("INSERT INTO hosts VALUES (3, 1, 'h', 'laptop', 0, NULL, 0, 0)")
        begins = "path>?" if prefix is None else "path>? AND path<?"
        for kind, index in (("file", OF_ONE_KIND), (None, OF_ALL)):
            query = ListingQuery(1, None, host, prefix, kind)
            assert index in plans(lambda query=query: sql_listings.list_files(conn, query))
            later = replace(query, after=Position(3, b"/d/e/f", 9))
            assert f"host_key=? AND {begins})" in plans(lambda query=later: sql_listings.list_files(conn, query))
        for more, index in (
            ({}, OF_ALL),
            ({"shown": Shown.DELETED}, OF_ALL),
            ({"shown": Shown.ALL}, OF_ALL_TIMES),
            ({"at_ms": 5}, OF_ALL_TIMES),
        ):
            query = ListingQuery(1, None, host, prefix, None, **more)  # type: ignore[arg-type]
            assert index in plans(lambda query=query: sql_listings.page_of_tree(conn, query, 3, None))
            found = plans(lambda query=query: sql_listings.page_of_tree(conn, query, 3, LATER))
            begin = begins.replace("path>?", "(path,gen)>(?,?)") if query.shown is Shown.ALL else begins
            assert f"{index} (host_key=? AND {begin})" in found, found
    engine.dispose()


async def test_the_database_syncs_every_commit(server: Server) -> None:
    writer = server.app.state.admin._metadata._writer
    pragmas = await writer.run(
        lambda tx: {
            name: tx.conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "mmap_size", "trusted_schema")
        }
    )
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "mmap_size": 0, "trusted_schema": 0}


async def test_a_small_file_costs_few_syncs(server: Server) -> None:
    client = await server.client()
    await client.upload("/first", b"makes the pack and the log")
    before = (await server.stats())["fsyncs"]
    await client.upload("/a", b"data")
    await server.stats()
    assert (await server.stats())["fsyncs"] - before <= 10


async def test_a_write_after_the_end_is_refused_and_hangs_nobody(tmp_path: Path) -> None:
    store = await SqliteMetadata.open(str(tmp_path / "pp.db"), Durable())
    writer = store._writer
    await store.close()
    async with asyncio.timeout(5):
        with pytest.raises(StorageFailed):
            await writer.run(lambda tx: None)
