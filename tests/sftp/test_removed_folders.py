"""What is left of a drop folder that nobody watches any more: what is not stored, and nothing else."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pp_assist.clock import Clock
from pp_assist.core.drop_folders import DropOptions
from pp_assist.core.model import Root
from pp_assist.sftp import component
from pp_assist.sftp.clearing import Keeping
from pp_assist.sftp.component import LEDGER, DropFolders
from pp_assist.sftp.ledger import Ledger, State
from pp_assist.sftp.outbox import Outbox
from pp_assist.sftp.polling import Seen
from pp_assist.sftp.spool import Spool
from pp_assist.store import drop_folders
from pp_assist.store.db import open_database
from pp_assist.store.roots import RootsTable
from tests.e2e.harness import eventually
from tests.sftp.dropped import dropped
from tests.sftp.sftp_servers import Other

KEPT, REMOVED = "sftp://partner@127.0.0.1/in", "sftp://partner@127.0.0.1/out"
COPIES = [f"{state}/a" for state in State if state is not State.FOUND]


class Life:
    """One life of a daemon's drop folders, none of which is watched yet."""

    def __init__(self, state: Path, roots: RootsTable, drops: DropFolders) -> None:
        self.state = str(state)
        self.roots = roots
        self.drops = drops
        self.ledger = Ledger(str(state / LEDGER))

    async def root(self, url: str) -> Root:
        return await self.roots.add(url.encode(), url.encode(), True, (1, len(url)), 0)

    async def removed(self, url: str) -> Root:
        """A folder that was removed, of which nothing is cleared yet."""
        root = await self.root(url)
        await self.roots.remove(root.id)
        self.leave(url)
        return root

    def leave(self, url: str) -> None:
        """Have a file in each state, and a copy of each that has come, and a draft."""
        spool = Spool(self.state, url)
        spool.make()
        Path(spool.drafts, "draft").write_bytes(b"half")
        for state in State:
            name = f"{state}/a".encode()
            self.ledger.add(url, [(name, Seen(1, 1))], state)
            if state is State.MOVING:
                self.ledger.moving(self.ledger.in_state(url, state)[0].id, b"/aside")
            if state is not State.FOUND:
                path = os.path.join(spool.files, name)
                os.mkdir(os.path.dirname(path))
                Path(os.fsdecode(path)).write_bytes(b"a")
                os.utime(path, (1, 1))

    def copies(self, url: str) -> list[str]:
        """What is there, also while folders are being removed."""
        top = os.fsdecode(Spool(self.state, url).files)
        return sorted(
            os.path.relpath(os.path.join(folder, name), top) for folder, _, names in os.walk(top) for name in names
        )

    def left(self, url: str) -> list[str]:
        return [state for state, count in self.ledger.counts(url).items() if count]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.drops.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until_clear(self) -> None:
        async with asyncio.timeout(20):
            while self.copies(REMOVED) != ["fetched/a"] or self.left(REMOVED) != ["found", "fetched", "settled"]:
                await asyncio.sleep(0.02)


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    async with open_database(str(tmp_path / "daemon.db")) as db:
        roots = RootsTable(db)
        keeping = Keeping(1 << 40, 1 << 40)
        rules = lambda root: lambda files: [False] * len(files)  # noqa: E731
        made = Life(tmp_path, roots, DropFolders(db, roots, str(tmp_path), Clock(), keeping, lambda _: None, rules))
        yield made
        made.ledger.close()


async def test_what_an_earlier_life_left_of_removed_folders_is_cleared(life: Life) -> None:
    await life.root(KEPT)
    life.leave(KEPT)
    await life.removed(REMOVED)
    async with life.running():
        await life.until_clear()
    assert not Path(Spool(life.state, REMOVED).drafts).exists()
    assert life.left(KEPT) == [*State]
    assert life.copies(KEPT) == sorted(COPIES)


async def test_nothing_is_cleared_of_a_folder_that_nobody_removed(life: Life) -> None:
    """The memory of what is watched was lost, or is an older one."""
    life.leave(KEPT)
    await life.removed(REMOVED)
    async with life.running():
        await life.until_clear()
    assert life.left(KEPT) == [*State]
    assert life.copies(KEPT) == sorted(COPIES)


async def test_a_folder_that_is_watched_again_is_not_cleared(life: Life) -> None:
    await life.removed(REMOVED)
    await life.root(REMOVED)
    async with life.running():
        await asyncio.sleep(0.5)
    assert life.left(REMOVED) == [*State]
    assert life.copies(REMOVED) == sorted(COPIES)


async def test_a_clearing_that_fails_is_told_and_done_at_the_next_start(
    life: Life, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    removed = await life.removed(REMOVED)

    def fails(_: Spool, but: object) -> None:
        raise OSError("the disk is read-only")

    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(Spool, "remove", fails)
        await life.drops.removed(removed)
    assert "the disk is read-only" in caplog.text
    assert life.drops._clearing == {}
    assert life.copies(REMOVED) == sorted(COPIES)
    async with life.running():
        await life.until_clear()


async def test_a_folder_of_which_nobody_knows_how_to_get_there_says_so(life: Life) -> None:
    """Its options were lost with a damaged database."""
    root = await life.root(KEPT)
    async with life.running(), asyncio.timeout(20):
        while life.drops.problem(root.id) is None:
            await asyncio.sleep(0.02)
    assert "add it again" in str(life.drops.problem(root.id))


async def test_a_spool_that_cannot_be_made_stops_no_other_folder_and_is_tried_again(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(component, "AFTER_CRASH_S", 0.05)
    options = DropOptions(password="x")
    first, second = [
        await life.roots.add(
            url.encode(), url.encode(), True, (1, number), 0, also=lambda tx, each: drop_folders.add(tx, each, options)
        )
        for number, url in enumerate(("sftp://partner@127.0.0.1:1/a", "sftp://partner@127.0.0.1:1/b"))
    ]
    in_the_way = Path(Spool(life.state, os.fsdecode(first.shown)).drafts).parent
    in_the_way.parent.mkdir()
    in_the_way.write_bytes(b"")
    async with life.running(), asyncio.timeout(20):
        while await life.drops.facts(second.id) is None or not life.drops.problem(first.id):
            await asyncio.sleep(0.02)
        assert await life.drops.facts(first.id) is None
        in_the_way.unlink()
        while await life.drops.facts(first.id) is None:
            await asyncio.sleep(0.02)


async def test_what_waits_for_a_full_batch_is_announced_when_its_folder_is_removed(life: Life) -> None:
    url = "sftp://partner@127.0.0.1:1/in"
    options = DropOptions(password="x", announce={"url": "http://127.0.0.1:1/", "secret": "s"})
    root = await life.roots.add(
        url.encode(), url.encode(), True, (1, 1), 0, also=lambda tx, root_id: drop_folders.add(tx, root_id, options)
    )  # fmt: skip
    life.ledger.add(url, [(b"a", Seen(1, 1))], State.SETTLED)
    life.ledger.add(url, [(b"b", Seen(1, 1))], State.FOUND)
    async with life.running():
        async with asyncio.timeout(20):
            while await life.drops.facts(root.id) is None:
                await asyncio.sleep(0.02)
        assert Outbox(life.ledger).waiting(url)[0] == 0
        await life.roots.remove(root.id)
        await life.drops.removed(root)
        assert Outbox(life.ledger).waiting(url)[0] == 1
    assert life.ledger.unannounced(url) == []


def test_what_is_not_stored_when_its_folder_is_removed_is_not_lost(other: Other) -> None:
    """Its partner removes it meanwhile: the spool has the only copy. It goes on where the folder is watched again."""
    with dropped(other) as folder:
        shown = folder.begin()
        folder.world.server.stop()
        digest = folder.drop("a.txt", b"a")
        folder.drop("b/b.txt", b"b")
        folder.until(lambda facts: facts["fetched"] == 2)
        (folder.inbox / "a.txt").unlink()
        left = folder.world.daemon.ask("DELETE", f"/paths/{shown['id']}")["left"]
        assert left.startswith("2 files are not stored, and stay in ")
        folder.world.daemon.restart()
        folder.world.server.start()
        folder.add(after="remove")
        eventually(lambda: folder.stored().get("a.txt") == digest, 30)
        eventually(lambda: not (folder.inbox / "b" / "b.txt").exists(), 30)
