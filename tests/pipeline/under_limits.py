"""Run by test_watch_limits.py where lowering the limits of the system concerns nobody else."""

import asyncio
from pathlib import Path

from pair import DEADLINE_S, running_pair, write

WATCHES = Path("/proc/sys/user/max_inotify_watches")
INSTANCES = Path("/proc/sys/user/max_inotify_instances")


async def test_where_not_every_folder_can_be_watched_scans_find_what_happens(tmp_path: Path) -> None:
    WATCHES.write_text("12")
    try:
        async with running_pair(tmp_path, use_filesystem_events=True, scan_interval=0.3, canary_seconds=0.2) as pair:
            assert pair.daemon
            stage = pair.daemon.scanner
            for number in range(30):
                write(pair.tree / f"{number}" / "file", f"{number}")
            await pair.assert_equal()
            status, reason = stage.condition(1)
            assert (status, reason) == (
                "polling",
                "cannot watch it: no more folders can be watched (fs.inotify.max_user_watches)",
            )
            assert stage._watcher is not None
            assert not stage._watcher.proven(1)
            for number in range(30):
                write(pair.tree / f"{number}" / "new", f"{number} new")
            await pair.until(lambda counts: sum(counts.files.values()) == 60)
            await pair.assert_equal()
            assert stage.stats.missed_changes > 0
            WATCHES.write_text("1000")
            async with asyncio.timeout(DEADLINE_S):
                while stage.condition(1) != ("healthy", None):
                    await asyncio.sleep(0.01)
            assert stage._watcher.proven(1)
    finally:
        WATCHES.write_text("1000")


async def test_where_no_watcher_can_be_had_the_daemon_polls_until_it_can(tmp_path: Path) -> None:
    INSTANCES.write_text("0")
    try:
        async with running_pair(tmp_path, use_filesystem_events=True, scan_interval=0.3, canary_seconds=0.2) as pair:
            assert pair.daemon
            stage = pair.daemon.scanner
            write(pair.tree / "file", "x")
            await pair.assert_equal()
            status, reason = stage.condition(1)
            assert status == "polling"
            assert reason == (
                "cannot watch: no more watchers can be opened (fs.inotify.max_user_instances, or open files)"
            )
            INSTANCES.write_text("100")
            async with asyncio.timeout(DEADLINE_S):
                while stage.condition(1) != ("healthy", None):
                    await asyncio.sleep(0.01)
            write(pair.tree / "late", "y")
            await pair.until(lambda counts: sum(counts.files.values()) == 2)
            await pair.assert_equal()
    finally:
        INSTANCES.write_text("100")
