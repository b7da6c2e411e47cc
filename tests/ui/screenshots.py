"""Pictures of the page for the documents, of a real daemon and server: `make screenshots`, or `… DIR [NAME …]`."""

import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.e2e.conftest import QUICK
from tests.e2e.harness import World, eventually
from tests.ui.browsing import NARROW, Window, chromium, window
from tests.ui.furnishing import settle

WIDE, TALL = {"width": 1280, "height": 960}, {"width": 1280, "height": 1400}
KINDS = {
    "Documents/letters": ("letter to {}.odt", 180, 9_000), "Documents/taxes 2025": ("receipt {}.pdf", 420, 30_000),
    "Documents/thesis": ("chapter {}.tex", 9, 60_000), "Documents/thesis/figures": ("figure {}.svg", 64, 12_000),
    "Pictures/2026-06 Lisbon": ("IMG_{}.jpg", 900, 40_000), "Pictures/2025-12 snow": ("IMG_{}.jpg", 640, 30_000),
    "Projects/garden": ("plan {}.svg", 75, 12_000), "Projects/boat/photos": ("hull {}.jpg", 130, 50_000),
    "Music/live": ("take {}.flac", 24, 1_500_000),
}  # fmt: skip
"""Folder → names, how many, and about how large."""

ROOTS = ("Documents", "Pictures", "Projects", "Music")
SHOTS = {
    "overview": "overview", "transfers": "transfers", "files": "files?sort=changed&order=desc",
    "file": "files?text=chapter&sort=path", "activity": "activity", "roots": "roots", "rules": "rules",
    "servers": "servers", "settings": "settings", "held-deletions": "held-deletions",
}  # fmt: skip
LOOKS = {
    "overview": ("light", "dark", "narrow"), "files": ("light", "narrow"), "file": ("dark",),
    "held-deletions": ("light",),
}  # fmt: skip
"""Of which there is more to see than what is light and wide."""


@contextlib.contextmanager
def anna() -> Iterator[World]:
    """A person's files, in a world that runs."""
    home = Path(tempfile.gettempdir()) / "anna"
    home.mkdir()
    world = World(home, **QUICK, PP_ASSIST_HOSTNAME="anna-laptop")
    world.tree = os.fsencode(home)
    rng = random.Random(7)
    try:
        for place, (name, count, size) in KINDS.items():
            for number in range(1, count + 1):
                content = rng.randbytes(rng.randrange(size // 2, size * 2))
                path = world.write(f"{place}/{name.format(f'{number:04}')}", content)
                at = time.time() - rng.randrange(3600, 600 * 86_400)
                os.utime(path, (at, at))
        world.write("Projects/garden/node_modules/leaf/index.js", b"module.exports = 1\n")
        world.write("Pictures/.DS_Store", b"x")
        world.server.start()
        world.daemon.start()
        for pattern in ("node_modules/", "*.tmp", "~$*"):
            world.daemon.ask("POST", "/excludes", {"pattern": pattern})
        server = {"name": "home server", "url": world.server.url, "api_key": world.server.key}
        world.daemon.ask("POST", "/servers", server)
        for root in ROOTS:
            world.daemon.watch(world.path(root))
        settle(world)
        yield world
    finally:
        world.close()
        shutil.rmtree(home)


def sending(world: World) -> None:
    """Have something sent at once, and then much, slowly."""
    rng = random.Random(8)
    for number in range(200, 260):
        world.write(f"Documents/letters/letter to {number:04}.odt", rng.randbytes(20_000))
    settle(world)
    world.daemon.ask("POST", "/config", {"uploader": {"bandwidth_kib_per_second": 1536}})
    for number in range(1, 5):
        world.write(f"Music/live/concert {number}.flac", rng.randbytes(40_000_000))
    for number in range(1000, 1120):
        world.write(f"Pictures/2026-06 Lisbon/IMG_{number:04}.jpg", rng.randbytes(90_000))
    time.sleep(12)


def losing(world: World) -> None:
    """Have a decision that waits."""
    for number in range(1, 261):
        os.unlink(world.path(f"Documents/taxes 2025/receipt {number:04}.pdf"))
    world.daemon.scan()

    def are_held() -> bool:
        line = world.daemon.stats()["queues"]["pending_deletion"]
        return 0 < line["count"] == line["held"]

    eventually(are_held, 60.0)


def take(seen: Window, name: str, folder: Path) -> None:
    """Save what a screen looks like, in both themes, and narrow where that says something."""
    page = seen.show(SHOTS[name])
    if name == "file":
        page.get_by_role("gridcell").filter(has_text="chapter").first.click()
        page.get_by_role("region", name="Life line").wait_for()
    if name == "held-deletions":
        page.get_by_role("button", name="taxes 2025").click()
    if name == "rules":
        page.get_by_label("Pattern, as in a .gitignore").fill("hull*.jpg")
    page.wait_for_timeout(2500)
    for look in LOOKS.get(name, ("light",)):
        seen.dressed("light" if look == "narrow" else look)
        page.set_viewport_size(NARROW if look == "narrow" else TALL if name == "overview" else WIDE)  # type: ignore
        page.wait_for_timeout(600)
        page.screenshot(path=folder / f"{name}-{look}.png")
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]


def main(folder: Path, names: list[str]) -> None:
    """Take them all, or some."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        anna() as world,
        sync_playwright() as playwright,
        chromium(playwright) as browser,
        window(browser, world.daemon, viewport=WIDE) as seen,
    ):
        seen.show("overview")
        sending(world)
        for name in names or SHOTS:
            if name == "held-deletions":
                losing(world)
            take(seen, name, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
