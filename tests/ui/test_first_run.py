"""The first minutes: a server, a folder, and a file arriving before the person's eyes."""

import os
import re

from tests.ui.conftest import MakeWorld, OpenWindow


def test_three_steps_and_a_file_arrives(make_world: MakeWorld, open_window: OpenWindow) -> None:
    world = make_world()
    world.server.start()
    world.daemon.environment["HOME"] = str(world.folder)
    world.daemon.start()
    world.write("already.txt", b"here before")
    with open_window(world.daemon) as seen:
        page = seen.page
        page.get_by_role("heading", name="Which server?").wait_for()
        assert seen.barriers() == []
        page.get_by_label("Address").fill(world.server.url)
        page.get_by_label("API key").fill("pp_wrong")
        page.get_by_role("button", name="Test").click()
        page.get_by_text(re.compile("does not accept our API key")).wait_for()
        page.get_by_label("API key").fill(world.server.key)
        page.get_by_role("button", name="Add and go on").click()
        page.get_by_role("heading", name="Which folder?").wait_for()
        folders = page.get_by_role("group", name="Folders")
        folders.get_by_role("button").filter(has_text=str(world.folder)).first.click()
        folders.get_by_role("button", name=re.compile("^tree")).click()
        assert seen.barriers() == []
        page.get_by_role("button", name="Watch this folder").click()
        page.get_by_role("button", name="To the overview").wait_for()
        world.daemon.finish(world.tree)
        world.write("arrives.txt", b"while one looks")
        arrived = page.get_by_role("list", name="Stored just now")
        arrived.get_by_text("arrives.txt").wait_for()
        assert seen.barriers() == []
        page.get_by_role("button", name="To the overview").click()
        page.get_by_role("heading", level=1, name=re.compile("^All 2 files")).wait_for()
    (watched,) = world.daemon.ask("GET", "/paths")["paths"]
    assert watched["path"] == os.fsdecode(world.tree)
    assert world.finish() == 2
