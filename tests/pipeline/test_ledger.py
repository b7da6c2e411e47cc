"""Every name on the disk is accounted for, whatever happens; and where it is not, that is said loudly."""

import asyncio
import os
from typing import Any

import pytest
from pair import Pair, write

from pp_assist.core.aside import Steer
from pp_assist.core.ledger import Counted, Files
from pp_assist.store import ledger
from pp_assist.store.queue_steering import Which


def names_on_disk(pair: Pair) -> int:
    return sum(len(folders) + len(files) for _, folders, files in os.walk(pair.tree))


async def test_each_name_is_in_one_of_four(pair: Pair) -> None:
    assert pair.daemon
    write(pair.tree / "a", "1")
    write(pair.tree / "sub/b", "2")
    write(pair.tree / ".ppignore", "*.tmp\n/out/\n")
    write(pair.tree / "c.tmp", "3")
    write(pair.tree / "out/d", "4")
    os.symlink("a", pair.tree / "link")
    os.mkfifo(pair.tree / "fifo")
    await pair.settle()
    await pair.assert_adds_up(stored=5, pending=0, excluded=2, unsupported=1, missing=0)
    assert names_on_disk(pair) == 8 + 1  # what is below `out` is not looked at

    await pair.daemon.holding.hold(None)
    write(pair.tree / "e", "5")
    write(pair.tree / "f", "6")
    await pair.assert_adds_up(stored=5, pending=2)
    await pair.daemon.line.steer(Steer.HOLD, Which(glob="e"))
    os.mkdir(pair.tree / "sub 2")
    counted = (await pair.entry()).counted
    assert counted.reasons == {"held_by_person": 1, "to_hash": 2}
    assert counted.files == Files(stored=3, pending=2, missing=0, reasons={"held_by_person": 1, "to_hash": 1})


async def test_folders_that_are_left_out_taken_in_replaced_and_moved(pair: Pair) -> None:
    for number in range(30):
        write(pair.tree / f"one/two/f{number}", str(number))
        write(pair.tree / f"three/f{number}", str(number))
    await pair.settle()
    await pair.assert_adds_up(stored=63)
    write(pair.tree / ".ppignore", "two/\n")
    await pair.settle()
    await pair.assert_adds_up(excluded=1, stored=33)
    (pair.tree / ".ppignore").unlink()
    await pair.settle()
    await pair.assert_adds_up(excluded=0, stored=63)
    os.rename(pair.tree / "one", pair.tree / "elsewhere")
    await pair.settle()
    await pair.assert_adds_up(stored=63)
    os.rename(pair.tree / "three", pair.folder / "away")
    os.symlink(pair.folder / "away", pair.tree / "three")  # what is below it is neither missing nor there
    await pair.assert_adds_up()
    os.unlink(pair.tree / "three")
    os.mkfifo(pair.tree / "three")
    await pair.assert_adds_up()


async def test_while_much_changes_nothing_is_claimed_that_is_not_so(pair: Pair) -> None:
    assert pair.daemon
    stop = asyncio.Event()

    async def churn() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            write(pair.tree / f"d{number % 7}/f{number % 50}", str(number))
            if number % 19 == 0:
                (pair.tree / f"d{number % 7}/f{number % 50}").unlink()
            await asyncio.sleep(0.001)

    churning = asyncio.create_task(churn())
    for _ in range(5):
        found = await pair.entry()
        assert found.tally is not None and found.tally.difference == 0
    stop.set()
    await churning
    await pair.settle()
    await pair.assert_adds_up(pending=0)


async def test_a_folder_that_cannot_be_read_leaves_it_open(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    write(pair.tree / "sub/a", "1")
    await pair.settle()
    if os.geteuid() == 0:
        real = os.scandir

        def scandir(where: Any) -> Any:
            if os.path.samestat(os.fstat(where), os.stat(pair.tree / "sub")):
                raise PermissionError(13, "Permission denied")
            return real(where)

        monkeypatch.setattr(os, "scandir", scandir)
    else:
        (pair.tree / "sub").chmod(0)
    found = await pair.entry()
    assert found.tally is not None
    assert (found.tally.unread_directories, found.tally.difference) == (1, None)


async def test_a_count_that_is_wrong_is_said_loudly(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        write(pair.tree / f"f{number}", str(number))
    await pair.settle()
    await pair.assert_adds_up(stored=5)
    assert not [record for record in caplog.records if "add up" in record.message]
    monkeypatch.setattr(ledger, "count", lambda *_: Counted(stored=3))
    found = await pair.entry()
    assert found.tally is not None and found.tally.difference == 2
    assert any("2 names have no row" in record.message for record in caplog.records)
    monkeypatch.setattr(ledger, "count", lambda *_: Counted(stored=3, excluded=9))
    found = await pair.entry()
    assert found.tally is not None and found.tally.difference == -7
