"""A look that is written down late, when what it saw is gone and nothing will tell of it again."""

import asyncio
import shutil
from pathlib import Path

import pytest
from pair import DEADLINE_S, running_pair, write

from pp_assist.core.model import Stage
from pp_assist.scanner import scanner


@pytest.mark.parametrize("folders", [(b"",), (b"d", b"d/e")])
async def test_what_an_overtaken_look_has_written_down_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: tuple[bytes, ...]
) -> None:
    monkeypatch.setattr(scanner, "ASTRAY_S", 0.2)
    async with running_pair(tmp_path, use_filesystem_events=True) as pair:
        assert pair.daemon
        place = folders[-1].decode()
        write(pair.tree / "stays", "x")
        write(pair.tree / place / "goes", "y")
        await pair.assert_equal()
        recorder = pair.daemon.scanner._recorder
        (root,) = await pair.daemon.roots.all()
        places = [(folder, {b"goes": False, b"e": False}) for folder in folders]
        (late,) = [seen async for seen in recorder.looks(root, places)]
        if place:
            shutil.rmtree(pair.tree / "d")
        else:
            (pair.tree / "goes").unlink()
        async with asyncio.timeout(DEADLINE_S):
            while len(await pair.live()) > 1:
                await asyncio.sleep(0.02)
        await pair.until(lambda counts: counts.queued(*Stage) == 0)
        scans = pair.daemon.scanner.stats.scans_finished
        await recorder.record(root, late)
        assert (await pair.counts()).queued(Stage.CHECKSUM) == len(folders)
        await pair.until(lambda counts: counts.queued(*Stage) == 0)
        assert pair.daemon.scanner.stats.scans_finished == scans, "without a scan"
        await pair.assert_equal()
