"""200,000 files: as many rows in the page as are in sight, and nobody waits while scrolling."""

import os

import pytest

from tests.ui.conftest import MakeWorld, OpenWindow
from tests.ui.furnishing import remember_many

pytestmark = pytest.mark.timeout(400)

FILES = 200_000
MOST_ROWS = 200
LONG_MS = 50
"""Of a processor: what browsers call a long task."""


def test_two_hundred_thousand_files_are_scrolled_through(make_world: MakeWorld, open_window: OpenWindow) -> None:
    world = make_world()
    world.begin()
    world.daemon.finish(world.tree)
    assert world.daemon.stop() == 0
    os.rename(world.tree, world.tree + b" away")
    remember_many(world, FILES)
    world.daemon.start()
    with open_window(world.daemon) as seen:
        page = seen.show("files?sort=path")
        grid = page.get_by_role("grid", name="Files")
        page.wait_for_function("n => +document.querySelector('[role=grid]').ariaRowCount === n + 1", arg=FILES)
        page.get_by_text("file 000000.txt").first.wait_for()
        with seen.tasks() as taken:
            for part in range(40):
                grid.evaluate("(grid, part) => { grid.scrollTop = grid.scrollHeight * part / 40 }", part)
                page.wait_for_timeout(40)
                assert grid.get_by_role("row").count() <= MOST_ROWS
        with seen.tasks() as long:
            page.evaluate("() => { for (const end = performance.now() + 400; performance.now() < end;); }")
        assert len(taken) > 100, "each part of the way is some tasks"
        assert max(taken) < LONG_MS < max(long), "and one that is long would be seen"
        grid.evaluate("grid => { grid.scrollTop = grid.scrollHeight }")
        page.get_by_text("file 199999.txt").first.wait_for()
        page.get_by_label("Part of the path").fill("0123 123456")
        page.wait_for_function("() => +document.querySelector('[role=grid]').ariaRowCount === 2")
        page.get_by_text("file 123456.txt").first.wait_for()
        page.get_by_label("Part of the path").fill("no such file anywhere")
        page.get_by_text("No file is like that").wait_for()
        assert seen.barriers() == []
