"""Situations of a file, made by hand: `why` names the true reason of each, by as few statements at 200,000 files."""

import asyncio
import os
import shutil
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from asked_why import World, counted, database_with, world
from pair import DEADLINE_S, noise, write

from pp_assist import disk, posix
from pp_assist.core.model import Claim, Snapshot
from pp_assist.uploader.transfer import Transfer

__all__ = ["counted"]

MIB = 1 << 20
FEW = 20
MANY = 200_000
MOST_STATEMENTS = 7
TO_HAVE_IT = "to have it stored"
SCAN = "pp_assist scan looks at once"


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """One with hardly any further files, and one with many."""
    folder = tmp_path_factory.mktemp("databases")
    found = {}
    for further in (FEW, MANY):
        found[further] = folder / f"{further}.db"
        asyncio.run(database_with(found[further], further))
    return found


@pytest.mark.usefixtures("counted")
async def test_why_names_the_true_reason_by_as_few_statements(
    tmp_path: Path, databases: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: dict[int, dict[str, int]] = {}
    for further, database in databases.items():
        counts[further] = {}
        for make in (at_home, with_the_server, on_the_way, young, restless):
            with monkeypatch.context() as patches:
                found = await make(tmp_path / f"{make.__name__} {further}", database, patches)
            assert found.scans == set()
            assert not counts[further].keys() & found.statements.keys()
            counts[further] |= found.statements
    assert len(counts[MANY]) >= 50
    assert counts[FEW] == counts[MANY]
    assert max(counts[MANY].values()) <= MOST_STATEMENTS, counts[MANY]


async def at_home(folder: Path, database: Path, patches: pytest.MonkeyPatch) -> World:
    """Rules, kinds, and what is wrong with a file itself."""
    write(folder.parent / f"{folder.name} outside" / "f", "x")
    mounted, opened, changed = disk.mounts_marked, posix.open_file, [0]

    def marked(fd: int, entries: list[Snapshot]) -> list[Snapshot]:
        return [entry._replace(mounted=entry.name == b"mounted") for entry in mounted(fd, entries)]

    def open_file(directory_fd: int, name: bytes) -> int:
        if name in (b"secret", b"locked"):
            error = (
                PermissionError(13, "Permission denied")
                if name == b"secret"
                else OSError(16, "Device or resource busy")
            )
            raise error
        if name.startswith(b"restless"):
            changed[0] += 1
            (here / os.fsdecode(name)).write_text(f"{changed[0]}")
        return opened(directory_fd, name)

    patches.setattr(disk, "mounts_marked", marked)
    patches.setattr("pp_assist.scanner.walk.mounts_marked", marked)
    patches.setattr(posix, "open_file", open_file)
    async with world(
        folder,
        database,
        {"exclude": ["*.global"], "max_size_mb": 4},
        delete_grace_seconds=3600,
        busy_policy="snapshot",
    ) as w:
        here = w.files
        deep = here.joinpath(*["d" * 250] * 17)
        write(here / "sub" / ".ppignore", "# mine\n\n*.tmp\n")
        for name in (
            "stored", "sub/x.tmp", "x.o", "cache/deep/x", "x.global", "Thumbs.db", "mounted/x", "secret", "locked",
            "restless busy", "restless changing", "returns", "goes", "goes soon", "x.added", "changes",
        ):  # fmt: skip
            write(here / name, name)
        write(here / "large", "")
        os.truncate(here / "large", 5 * MIB)
        os.mkfifo(here / "fifo")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.path.relpath(here / "socket"))
        (here / "link").symlink_to(folder.parent / f"{folder.name} outside")
        make_deep(here, 17)
        await w.post("/excludes", pattern="*.added")
        await w.pair.scan()
        await w.says("stored", here / "stored", "stored stored file")
        await w.says("a stored folder", here / "sub", "stored stored file")
        await w.says("a stored link", here / "link", "stored stored file")
        ours = ("*.tmp", str(here / "sub" / ".ppignore"), 3)
        await w.says(
            "line 3 of a .ppignore", here / "sub" / "x.tmp", "excluded pattern rule", rule=ours, advice=TO_HAVE_IT
        )
        await w.says(
            "the same, never seen", here / "sub" / "y.tmp", "excluded pattern rule", rule=ours, advice=TO_HAVE_IT
        )
        await w.says(
            "pattern of the folder", here / "x.o", "excluded pattern rule", rule=("*.o", "root", 1), advice=TO_HAVE_IT
        )
        await w.says(
            "below a folder left out",
            here / "cache" / "deep" / "x",
            "excluded pattern rule",
            rule=("cache/", "root", 2),
            advice=TO_HAVE_IT,
        )
        await w.says(
            "pattern of the settings",
            here / "x.global",
            "excluded pattern rule",
            rule=("*.global", "setting", 1),
            advice=TO_HAVE_IT,
        )
        await w.says(
            "pattern that was added",
            here / "x.added",
            "excluded pattern rule",
            rule=("*.added", "exclude", 1),
            advice=TO_HAVE_IT,
        )
        await w.says("made by the system", here / "Thumbs.db", "excluded system_junk rule")
        await w.says(
            "too large",
            here / "large",
            "excluded too_large rule",
            rule=("max_size_mb = 4", "setting", None),
            advice="rules.max_size_mb",
        )
        await w.says(
            "another file system", here / "mounted" / "x", "excluded other_file_system rule", advice="pp_assist add"
        )
        await w.says("our own files", w.pair.state / "assist.db", "excluded own_directory rule")
        await w.says("a server's files", folder / "server" / "x", "excluded server_data rule")
        await w.says("fifo", here / "fifo", "unsupported fifo file")
        await w.says("socket", here / "socket", "unsupported socket file")
        await w.says("path too long", deep / "f", "unsupported path_too_long file")
        await w.says("behind a link", here / "link" / "f", "excluded behind_a_link rule", advice="pp_assist add")
        await w.says(
            "in no watched folder", folder.parent / "f", "not_watched not_watched person", advice="pp_assist add"
        )
        await w.says("the watched folder", folder, "unsupported watched_folder rule")
        await w.says(
            "neither there nor known", here / "nothing", "unknown not_there file", advice="pp_client ls --versions"
        )
        await w.says(
            "unreadable",
            here / "secret",
            "pending unreadable file",
            tries_again=True,
            advice="pp_assist scan --force",
            text="Permission denied",
        )
        await w.says(
            "locked",
            here / "locked",
            "pending unreadable file",
            tries_again=True,
            advice="pp_assist scan --force",
            text="busy",
        )
        await w.says("changing", here / "restless changing", "pending changing waiting", tries_again=True)
        async with w.daemon.db.transaction() as tx:  # for hours now
            await tx.execute(
                "UPDATE work SET queued_at_ms = 1 WHERE file_id = (SELECT id FROM files WHERE name = CAST(? AS BLOB))",
                ("restless busy",),
            )
        await w.says("changing for long", here / "restless busy", "pending busy file", tries_again=True)
        write(here / "new", "x")
        await w.says("not seen yet", here / "new", "pending not_seen_yet waiting", advice=SCAN)
        await w.says("a changed folder", here, "pending not_seen_yet waiting", advice=SCAN)
        write(here / "changes", "other content")
        await w.says(
            "changed just now", here / "changes", "pending not_seen_yet waiting", advice=SCAN, text="just changed"
        )
        for name in ("goes", "goes soon", "returns"):
            await w.until_why(here / name, "stored")
            (here / name).unlink()
        await w.says("missing just now", here / "goes", "pending missing waiting")
        await w.pair.scan()
        await w.says(
            "missing, looked for twice",
            here / "goes",
            "pending in_line waiting",
            tries_again=True,
            text="a second time",
        )
        write(here / "returns", "x")
        await w.says("missing, and back", here / "returns", "pending in_line waiting", tries_again=True, text="is back")
        await flat(w)
        return w


def make_deep(folder: Path, depth: int) -> None:
    """Make folders whose path is longer than a system call takes, and a file in them."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 250, dir_fd=fd)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


async def flat(w: World) -> None:
    """A second folder, of which only the files directly in it are watched."""
    folder = w.files.parent.parent / f"{w.files.parent.name} flat"
    write(folder / "sub" / "f", "x")
    await w.post("/paths", path=str(folder), recursive=False)
    await w.says("not recursive", folder / "sub" / "f", "not_watched not_recursive person", advice="pp_assist rm")


async def with_the_server(folder: Path, database: Path, patches: pytest.MonkeyPatch) -> World:
    """What lies with the server, or with a person."""
    async with world(folder, database, {}, delete_grace_seconds=0.05) as w:
        here, server = w.files, w.server
        for n in range(40):
            write(here / "many" / f"{n}", f"{n}")
        write(here / "moved" / "sub" / "f", "x")
        write(here / "gone", "x")
        await w.pair.scan()
        await w.until_stored(here)
        f = here / "f"
        await w.post("/pause", seconds=3600)
        write(f, "x")
        await w.pair.scan()
        await w.says("paused for an hour", f, "pending paused person", tries_again=True, advice="pp_assist resume")
        await w.post("/pause")
        await w.says("paused", f, "pending paused person", advice="pp_assist resume")
        await w.post("/queue/hold", path=str(f))
        await w.post("/resume")
        await w.says("held by a person", f, "pending held_by_person person", advice="pp_assist queue release")
        await w.post("/queue/release", path=str(f))
        await w.until_why(f, "stored")
        for reason, text in (("on_battery", "battery is low"), ("metered", "paid by the byte")):
            w.daemon.holding.outside(reason)
            write(here / reason, reason)
            await w.pair.scan()
            await w.says(reason, here / reason, f"pending {reason} waiting", text=text)
        await w.post("/queue/cancel", path=str(here / "metered"))
        w.daemon.holding.outside(None)
        await w.says("cancelled", here / "metered", "pending cancelled person", advice="pp_assist queue retry")
        await w.post("/queue/retry", path=str(here / "metered"))

        server.says = httpx.Response(503, json={"detail": "no room", "code": "insufficient_storage"})
        write(f, "y")
        (here / "gone").unlink()
        os.rename(here / "moved", here / "elsewhere")
        await w.pair.scan()
        await w.says("moved with its folder", here / "elsewhere" / "sub" / "f", "pending moving waiting")
        await w.says("gone, the server to be told", here / "gone", "pending server_unavailable server")
        for situation, status, code, blame, advice in (
            ("overloaded", 503, "server_unavailable", "server", None),
            ("full", 507, "server_unavailable", "server", None),
            ("in trouble", 500, "server_trouble", "server", None),
            ("nonsense", 200, "server_nonsense", "server", None),
            ("a bad key", 401, "needs_login", "person", "pp_assist server rm, add"),
        ):
            server.says = httpx.Response(status, text="<html>")
            await w.says(situation, f, f"pending {code} {blame}", advice=advice)
            server.says = None
            await w.until_why(f, "stored")
            write(f, situation)
            await w.pair.scan()
        w.pair.weather.inner = None
        await w.says("unreachable", f, "pending server_unreachable server")
        known = await w.daemon.servers.default()
        assert known
        await w.daemon.servers.remove(known.id)
        await w.says("no server", f, "pending no_server person", advice="pp_assist server add")
        w.pair.weather.inner = server
        await w.daemon.servers.add("again", "http://server", w.pair.api_key, 0)
        await w.until_stored(here)
        shutil.rmtree(here / "many")
        await w.pair.scan()
        await w.says(
            "many deletions at once", here / "many" / "7", "pending held person", advice="pp_assist deletions list"
        )
        os.rename(folder, folder.parent / f"{folder.name} away")
        await w.says("its folder is away", f, "unknown root_unhealthy person", advice="bring the folder back")
        os.rename(folder.parent / f"{folder.name} away", folder)
        return w


async def on_the_way(folder: Path, database: Path, patches: pytest.MonkeyPatch) -> World:
    """What is being sent, what waits behind others, and what cannot be sent as it is."""
    async with world(folder, database, {}) as w:
        here, server = w.files, w.server
        run, opened, go_on = Transfer.run, posix.open_file, threading.Event()

        def open_file(directory_fd: int, name: bytes) -> int:
            if name.startswith(b"slow"):
                go_on.wait(DEADLINE_S)
            return opened(directory_fd, name)

        async def failing(self: Transfer, way: Any, claim: Claim, **more: Any) -> Any:
            if claim.location.name == b"odd":
                raise ZeroDivisionError("nobody thought of this")
            return await run(self, way, claim, **more)

        patches.setattr(Transfer, "run", failing)
        patches.setattr(posix, "open_file", open_file)
        server.refuses = b"refused by it"
        write(here / "refused by it", "x")
        write(here / "odd", noise(MIB, 1))
        await w.pair.scan()
        left_alone = "left alone until it changes"
        await w.says("refused by the server", here / "refused by it", "pending refused file", advice=left_alone)
        await w.says("an error of ours", here / "odd", "pending unexpected file", advice=left_alone)

        chunks = []

        def behind_two_chunks(request: httpx.Request) -> bool:
            if request.method == "PUT" and request not in chunks:
                chunks.append(request)
            return request in chunks[2:]

        server.held_up = behind_two_chunks
        write(here / "large", noise(4 * MIB, 2))
        await w.pair.scan()
        async with asyncio.timeout(DEADLINE_S):
            while (await w.why(here / "large"))["progress"] != {
                "bytes_total": 4 * MIB,
                "chunks_done": 2,
                "chunks_total": 4,
            }:
                await asyncio.sleep(0.02)
        found = await w.says("two of four chunks sent", here / "large", "pending at_work waiting", text="being sent")
        assert found["active"]
        assert found["ahead"] is None
        server.held_up = lambda request: False
        for number in range(w.pair.settings.checksum_calculator.parallel_workers):
            slow = folder / f"slow {number}"  # in no directory that would be noted, too, and take a worker
            write(slow, f"{number}")
            await w.pair.scan()
            await w.until_why(slow, "at_work")
        write(here / "last", "last")
        await w.pair.scan()
        async with w.daemon.db.transaction() as tx:
            for sql in TEN_THOUSAND:
                await tx.execute(sql)
        found = await w.says("behind 10,000", here / "last", "pending in_line waiting", text="to be read")
        assert (found["ahead"] >= 10_000, found["active"]) == (True, False)
        async with w.daemon.db.transaction() as tx:
            await tx.execute("DELETE FROM files WHERE id >= 10000000")
        go_on.set()
        await w.says("and sent at last", here / "last", "stored stored file")
        return w


TEN_THOUSAND = (
    "CREATE TEMP TABLE IF NOT EXISTS ten (n INTEGER PRIMARY KEY)",
    """INSERT OR IGNORE INTO ten
    WITH RECURSIVE up (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM up WHERE n < 9999) SELECT n FROM up""",
    """INSERT INTO files (id, directory_id, name, kind, state, gen, sha256, discovered_at_ms)
    SELECT 10000000 + n, 100000, CAST('ten' || n AS BLOB), 'file', 'discovered', 1, printf('%064x', n), 1
    FROM ten""",
    """INSERT INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms, lane)
    SELECT 10000000 + n, 'checksum', 1, 1, 1, 'small' FROM ten""",
)


async def young(folder: Path, database: Path, patches: pytest.MonkeyPatch) -> World:
    """Files must be old enough."""
    async with world(folder, database, {"min_age_seconds": 3600}) as w:
        write(w.files / "young", "x")
        await w.pair.scan()
        await w.says("too young", w.files / "young", "pending too_young waiting", tries_again=True)
        return w


async def restless(folder: Path, database: Path, patches: pytest.MonkeyPatch) -> World:
    """Files must be at rest."""
    async with world(folder, database, {}, quiet_seconds=3600) as w:
        write(w.files / "fresh", "x")
        await w.pair.scan()
        await w.says("not at rest", w.files / "fresh", "pending not_at_rest waiting", tries_again=True)
        return w
