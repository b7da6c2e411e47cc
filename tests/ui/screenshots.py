"""Pictures of the page for the documents, of a real daemon and server: `make screenshots`, or `… DIR [NAME …]`."""

import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.e2e.conftest import QUICK
from tests.e2e.harness import World, eventually
from tests.ui.browsing import NARROW, WIDE, Window, chromium, window
from tests.ui.furnishing import settle

KINDS = {
    "Documents/letters": ("letter to {}.odt", 40, 24_000), "Documents/taxes 2025": ("receipt {}.pdf", 120, 90_000),
    "Documents/thesis": ("chapter {}.tex", 9, 60_000), "Pictures/2026-06 Lisbon": ("IMG_{}.jpg", 260, 180_000),
    "Pictures/2025-12 snow": ("IMG_{}.jpg", 140, 150_000), "Projects/garden": ("plan {}.svg", 30, 12_000),
    "Music/live": ("take {}.flac", 8, 2_500_000),
}  # fmt: skip
"""Folder → names, how many, and about how large."""

SHOTS = {
    "overview": "overview", "transfers": "transfers", "files": "files?sort=path", "held-deletions": "held-deletions",
    "activity": "activity", "roots": "roots", "rules": "rules", "servers": "servers", "settings": "settings",
}  # fmt: skip


@contextlib.contextmanager
def anna() -> Iterator[World]:
    """A person's files, in a world that runs."""
    with tempfile.TemporaryDirectory(prefix="pp-shots-") as folder:
        home = Path(folder) / "anna"
        home.mkdir()
        world = World(home, **QUICK)
        rng = random.Random(7)
        try:
            for place, (name, count, size) in KINDS.items():
                for number in range(1, count + 1):
                    content = rng.randbytes(rng.randrange(size // 2, size * 2))
                    world.write(f"{place}/{name.format(f'{number:04}')}", content)
            world.write("Projects/garden/node_modules/leaf/index.js", b"module.exports = 1\n")
            world.write("Pictures/.DS_Store", b"x")
            world.begin()
            world.daemon.ask("POST", "/excludes", {"pattern": "node_modules/"})
            world.daemon.ask("POST", "/excludes", {"pattern": "*.tmp"})
            settle(world)
            yield world
        finally:
            world.close()


def lively(world: World) -> None:
    """Have something happen that takes a while, and a decision that waits."""
    for number in range(1, 61):
        world.path(f"Documents/taxes 2025/receipt {number:04}.pdf")
        Path(f"{world.tree.decode()}/Documents/taxes 2025/receipt {number:04}.pdf").unlink()
    world.daemon.scan()
    eventually(lambda: world.daemon.ask("GET", "/deletions")["held"] or world.daemon.pending() == {})
    world.daemon.ask("POST", "/config", {"uploader": {"bandwidth_kib_per_second": 2048}})
    rng = random.Random(8)
    for number in range(1, 5):
        world.write(f"Music/live/concert {number}.flac", rng.randbytes(24_000_000))
    for number in range(300, 340):
        world.write(f"Pictures/2026-06 Lisbon/IMG_{number:04}.jpg", rng.randbytes(120_000))


def take(seen: Window, name: str, place: str, folder: Path, narrow: bool) -> None:
    """Save what a screen looks like, in both themes, and narrow where that is wanted."""
    seen.show(place)
    for theme in ("light", "dark"):
        seen.dressed(theme)
        seen.page.wait_for_timeout(600)
        seen.page.screenshot(path=folder / f"{name}-{theme}.png")
    if narrow:
        seen.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        seen.page.wait_for_timeout(600)
        seen.page.screenshot(path=folder / f"{name}-narrow.png")
        seen.page.set_viewport_size(WIDE)  # type: ignore[arg-type]


def main(folder: Path, names: list[str]) -> None:
    """Take them all, or some."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: SHOTS[name] for name in names or SHOTS}
    with (
        anna() as world,
        sync_playwright() as playwright,
        chromium(playwright) as browser,
        window(browser, world.daemon) as seen,
    ):
        lively(world)
        time.sleep(8)
        for name, place in wanted.items():
            take(seen, name, place, folder, narrow=name in ("overview", "files"))
        if not names or "file" in names:
            seen.show("files?text=chapter&sort=path").get_by_role("gridcell").filter(has_text="chapter").first.click()
            seen.page.get_by_role("region", name="Life line").wait_for()
            seen.page.screenshot(path=folder / "file-dark.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
