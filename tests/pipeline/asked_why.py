"""A daemon and a server as in `pair`, the local API of the daemon, and a count of what a question costs."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pair import DEADLINE_S, Pair

from pp_assist import disk
from pp_assist.api.app import create_app
from pp_assist.serving import doors_of, services_of
from pp_assist.state import StateDirectory
from pp_assist.store.db import Database, open_database

ASKED: ContextVar[list[tuple[str, Sequence[Any]]] | None] = ContextVar("asked", default=None)
"""Every statement that whoever set it runs, and nobody else's."""

MAY_BE_SCANNED = ("r", "roots", "up", "json_each", "CONSTANT", "activity", "unread", "u", "directories_unread")
"""There are few of each: folders that are watched or cannot be read, what is asked for, 10,000 events that are kept."""


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have statements noted in `ASKED`."""
    rows, reading, transaction = Database.rows, Database.reading, Database.transaction

    async def noted_rows(self: Database, sql: str, params: Sequence[Any] = ()) -> list[sqlite3.Row]:
        if (asked := ASKED.get()) is not None:
            asked.append((sql, params))
        return await rows(self, sql, params)

    @contextmanager
    def noted_reading(self: Database) -> Iterator[sqlite3.Connection]:
        with reading(self) as conn:
            if (asked := ASKED.get()) is not None:
                conn.set_trace_callback(lambda sql: asked.append((sql, ())))
            try:
                yield conn
            finally:
                conn.set_trace_callback(None)

    def noted_transaction(self: Database) -> Any:
        assert ASKED.get() is None, "whoever only asks writes nothing"
        return transaction(self)

    monkeypatch.setattr(Database, "rows", noted_rows)
    monkeypatch.setattr(Database, "reading", noted_reading)
    monkeypatch.setattr(Database, "transaction", noted_transaction)


FURTHER = """
INSERT INTO roots (id, path, shown, recursive, enabled, device, inode, created_at_ms, policy, exclude, status)
VALUES (1000, x'2F6E6F2F73756368', x'2F6E6F2F73756368', 1, 0, 0, 0, 0, 'mirror', '[]', 'healthy');
INSERT INTO directories (id, root_id, path, problem)
SELECT 100000 + value, 1000, CAST('d' || value AS BLOB), CASE WHEN value % 100 = 0 THEN 'Permission denied' END
FROM generate;
INSERT INTO files (id, directory_id, name, kind, state, gen, size_bytes, mtime_ns, ctime_ns, inode, device, mode, uid,
                   gid, sha256, stored_gen, discovered_at_ms)
SELECT 100000 + value, 100000 + value % (SELECT MAX(value) + 1 FROM generate), CAST('f' || value AS BLOB), 'file',
       CASE value % 10 WHEN 0 THEN 'ready_for_upload' ELSE 'unchanged' END, value, 1, 1, 1, value, 7, 420, 0, 0,
       printf('%064x', value), value, 1
FROM all_of_them;
INSERT INTO work (file_id, stage, gen, state, queued_at_ms, eligible_at_ms, reason, lane)
SELECT id, 'upload', gen, CASE id % 20 WHEN 0 THEN 'parked' ELSE 'backoff' END, 1,
       CASE id % 20 WHEN 0 THEN NULL ELSE 9000000000000 END, 'refused', 'small'
FROM files WHERE id >= 100000 AND state = 'ready_for_upload';
INSERT INTO activity (id, at_ms, event, filepath, count, details)
SELECT value + 1, 1, 'upload_complete', CAST('/no/such/d1/f' || value AS BLOB), 1, '{}' FROM generate;
UPDATE daemon_state SET value = 100000 WHERE name = 'activity_id';
"""
"""So many rows of a folder that nobody looks into; a tenth of them in line, for a time far away."""


async def database_with(path: Path, further: int) -> None:
    """Make a database with so many further files, in a twentieth as many folders."""
    async with open_database(str(path)):
        pass
    if not further:
        return
    conn = sqlite3.connect(path, isolation_level=None)
    with conn:
        for name, count in (("generate", further // 20), ("all_of_them", further)):
            conn.execute(f"CREATE TEMP TABLE {name} (value INTEGER PRIMARY KEY)")
            conn.executemany(f"INSERT INTO {name} VALUES (?)", ((n,) for n in range(count)))
        conn.executescript(f"BEGIN; {FURTHER} COMMIT; DROP TABLE generate; DROP TABLE all_of_them;")
    conn.close()


@dataclass
class Server(httpx.AsyncBaseTransport):
    """What stands between daemon and server: it answers itself, lets what is held up wait, or refuses a file."""

    inner: httpx.AsyncBaseTransport
    says: httpx.Response | None = None
    held_up: Callable[[httpx.Request], bool] = lambda request: False
    refuses: bytes | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        while self.held_up(request):
            await asyncio.sleep(0.01)
        if self.says is not None:
            return httpx.Response(self.says.status_code, content=self.says.content, headers=self.says.headers)
        if self.refuses is not None and self.refuses in body:
            return httpx.Response(422, json={"detail": "no such names here", "code": "invalid_request"})
        return await self.inner.handle_async_request(request)


class World:
    """The two programs, the API, and all that was asked."""

    def __init__(self, pair: Pair, api: httpx.AsyncClient, server: Server) -> None:
        self.pair = pair
        self.api = api
        self.server = server
        assert pair.daemon
        self.daemon = pair.daemon
        self.files = pair.tree
        self.statements: dict[str, int] = {}
        self.scans: set[str] = set()

    async def post(self, route: str, **body: Any) -> Any:
        answer = await self.api.post(route, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def why(self, path: Path) -> dict[str, Any]:
        if (asked := ASKED.get()) is not None:
            asked.clear()
        answer = await self.api.get(f"/explain?path={quote(os.fsencode(path))}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def until_why(self, path: Path, code: str, tries_again: bool | None = None) -> dict[str, Any]:
        """Return the answer once that is the reason, and it is tried again or not, as it should be."""
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    found = await self.why(path)
                    again = found["next_try_at"] is not None
                    if found["reason"]["code"] == code and tries_again in (None, again):
                        return found
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{path}: {code} was expected, and it is {found}") from None

    async def until_stored(self, folder: Path) -> None:
        """Wait until everything in *folder* is, and the server was asked what it has."""
        for each in folder.rglob("*"):
            await self.until_why(each, "stored")
        await self.pair.until_compared()

    async def says(
        self,
        situation: str,
        path: Path,
        verdict_code_class: str,
        *,
        rule: tuple[str, str, int | None] | None = None,
        tries_again: bool = False,
        advice: str | None = None,
        text: str = "",
    ) -> dict[str, Any]:
        """Wait until that code is the reason; all the rest must be right at once."""
        verdict, code, blame = verdict_code_class.split()
        asked: list[tuple[str, Sequence[Any]]] = []
        before = ASKED.set(asked)
        try:
            found = await self.until_why(path, code, tries_again)
        finally:
            ASKED.reset(before)
        reason = found["reason"]
        assert (found["verdict"], reason["code"], reason["class"]) == (verdict, code, blame), (situation, found)
        assert found["rule"] == (rule and dict(zip(("pattern", "source", "line"), rule, strict=True))), situation
        assert (found["advice"] is not None) is (advice is not None), (situation, found)
        assert (advice or "") in (found["advice"] or ""), (situation, found)
        assert text in reason["text"], (situation, found)
        assert situation not in self.statements
        self.statements[situation] = len(asked)
        self.scans |= self.plans(asked)
        return found

    def plans(self, asked: Sequence[tuple[str, Sequence[Any]]]) -> set[str]:
        """Return what of the statements reads tables from one end to the other, other than small ones."""
        found = set()
        with self.daemon.db.reading() as conn:
            for sql, params in asked:
                for *_, step in conn.execute(f"EXPLAIN QUERY PLAN {sql}", tuple(params)):
                    what, *how = step.split()
                    table = how[-1] if how[-1:] == ["directories_unread"] else how[0]
                    if what == "SCAN" and not table.startswith("(") and table not in MAY_BE_SCANNED:
                        found.add(f"{step}: {' '.join(sql.split())}")
        return found


@asynccontextmanager
async def world(folder: Path, database: Path, settings: dict[str, Any], **scanner: Any) -> AsyncIterator[World]:
    """A world on a copy of *database* that watches all of *folder*, the two programs' own files included."""
    folder.mkdir()
    pair = Pair(folder, settings, **({"quiet_seconds": 0.2} | scanner))
    shutil.copyfile(database, pair.state / "assist.db")
    pair.watched = folder
    try:
        await pair.start_server()
        await pair.start_daemon()
        assert pair.daemon
        if not any(root.enabled for root in await pair.daemon.roots.all()):
            path, identity = disk.resolve(os.fsencode(folder))
            root = await pair.daemon.roots.add(path, path, True, identity, 0, exclude=("*.o", "cache/"))
            await pair.daemon.scanner.root_added(root)
        assert pair.weather.inner
        server = pair.weather.inner = Server(pair.weather.inner)
        state = StateDirectory(str(pair.state), -1, pair.me.host_id, "token")
        services = services_of(pair.daemon, state, str(folder / "pp_assist.toml"), pair.supervisor)
        app = create_app(services, doors_of(services, state, pair.settings.api, lambda: 8765), _everybody)
        headers = {"Authorization": "Bearer token"}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8765", headers=headers
        ) as api:
            yield World(pair, api, server)
    finally:
        await pair.stop_daemon()
        await pair.stop_server()


async def _everybody(_: Any) -> bool:
    return True
