"""The first minutes: a server, a folder, and a file arriving before the person's eyes."""

import os
import re

from playwright.sync_api import Route

from tests.e2e.harness import eventually
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


def test_who_went_on_is_not_welcomed_again_by_an_old_status(make_world: MakeWorld, open_window: OpenWindow) -> None:
    world = make_world()
    world.begin()

    def old(route: Route) -> None:
        answer = route.fetch()
        status = answer.json()
        status["summary"] |= {"state": "nothing_watched", "text": "Nothing is watched."}
        route.fulfill(response=answer, json=status)

    with open_window(world.daemon) as seen:
        page = seen.page
        page.route("**/status", old)
        page.reload()
        page.get_by_role("button", name="To the overview").click()
        page.get_by_role("heading", level=1, name=re.compile("^Nothing is watched")).wait_for()
        with page.expect_response("**/status"):
            page.get_by_role("button", name="Scan now").click()
        page.wait_for_timeout(300)
        assert page.get_by_role("button", name="To the overview").count() == 0


def test_more_of_a_folder_that_was_left_is_not_shown_in_another(make_world: MakeWorld, open_window: OpenWindow) -> None:
    world = make_world()
    world.daemon.environment["HOME"] = str(world.folder)
    world.begin()
    for number in range(510):
        os.makedirs(world.path(f"many/folder {number:03}"))
    with open_window(world.daemon) as seen:
        page = seen.show("roots")
        page.get_by_role("button", name="Add a folder").click()
        folders = page.get_by_role("group", name="Folders")
        folders.get_by_role("button").filter(has_text=str(world.folder)).first.click()
        folders.get_by_role("button", name=re.compile("^tree")).click()
        folders.get_by_role("button", name="many").click()
        folders.get_by_text("folder 000").first.wait_for()
        held: list[Route] = []
        page.route("**/folders?*after=*", lambda route: held.append(route))
        folders.get_by_role("button", name="Show more").click()
        eventually(lambda: page.evaluate("1") and held)
        page.get_by_role("button", name="One folder up").click()
        folders.get_by_role("button", name=re.compile("^many")).wait_for()
        with page.expect_response("**/folders?*after=*"):
            held[0].continue_()
        page.wait_for_timeout(300)
        assert [text.split()[0] for text in folders.get_by_role("button").all_inner_texts()] == ["many"]
