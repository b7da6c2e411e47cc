"""What a person decides and asks for on the page: held deletions, a file back, and everything that can be steered."""

import os
import re
from functools import partial

from tests.e2e.harness import World, eventually
from tests.ui.conftest import OpenWindow
from tests.ui.furnishing import furnish, lose_many, settle


def test_held_deletions_are_looked_at_and_approved(running: World, open_window: OpenWindow) -> None:
    furnish(running)
    lost = lose_many(running)
    with open_window(running.daemon) as seen:
        page = seen.show("overview")
        said = page.get_by_role("main")
        said.get_by_role("heading", level=1).filter(has_text=f"{lost} deletions wait for your word").wait_for()
        said.get_by_role("link", name=re.compile(f"^Deletions {lost} .*{lost} held")).wait_for()
        badge = page.get_by_role("navigation").get_by_role("link", name=re.compile("^Held deletions"))
        assert badge.inner_text().split() == ["Held", "deletions", str(lost), "to", "decide"], "as the card says"
        page = seen.show("held-deletions")
        page.get_by_role("button", name=re.compile("^letters")).click()
        page.get_by_role("list", name="letters").get_by_text("07.txt").wait_for()
        page.get_by_role("button", name=f"Approve {lost} files").click()
        assert seen.barriers() == []
        page.get_by_role("button", name="Yes, they are deleted").click()
        page.get_by_role("heading", name="Nothing to decide").or_(
            page.get_by_text("Nothing to decide")
        ).first.wait_for()
    settle(running)
    assert not any(b"/letters/" in path for path in running.server.listing())


def test_a_file_is_fetched_back_bit_by_bit(running: World, open_window: OpenWindow) -> None:
    furnish(running)
    running.daemon.ask("POST", "/pause")  # else the server is told, and what is gone for good is in no list
    wanted = {}
    for name in (b"pictures/large.bin", b"hostile/caf\xe9.txt"):
        path = running.path(name)
        with open(path, "rb") as file:
            wanted[path] = file.read()
        os.unlink(path)
    running.daemon.scan()
    with open_window(running.daemon) as seen:
        for path, content in wanted.items():
            page = seen.show(f"files?text={os.path.basename(path)[:3].decode()}&sort=path")
            page.get_by_role("gridcell").filter(has_text=re.compile("large.bin|caf")).first.click()
            page.get_by_role("button", name="Fetch it back from the server").click()
            page.get_by_role("button", name="To its own place").click()
            eventually(partial(os.path.exists, path))
            with open(path, "rb") as file:
                assert file.read() == content
            page.keyboard.press("Escape")
        with open(running.path("letters/07.txt"), "rb") as file:
            stored = file.read()
        path = running.write("letters/07.txt", b"mine by now")
        running.daemon.scan()
        page = seen.show("files?text=07.txt")
        page.get_by_role("gridcell").filter(has_text="07.txt").first.click()
        page.get_by_role("button", name="Fetch it back from the server").click()
        page.get_by_role("button", name="To its own place").click()
        page.get_by_text(re.compile("fetched beside it", re.IGNORECASE)).first.wait_for()
    with open(running.path("letters/07 (from server).txt"), "rb") as file:
        assert file.read() == stored
    with open(path, "rb") as file:
        assert file.read() == b"mine by now"


def test_an_earlier_version_is_fetched_beside_what_is_there_now(running: World, open_window: OpenWindow) -> None:
    for content in (b"as it was", b"as it is now"):
        path = running.write("plan.txt", content)
        settle(running)
    with open_window(running.daemon) as seen:
        page = seen.show("files?text=plan.txt")
        page.get_by_role("gridcell").filter(has_text="plan.txt").first.click()
        page.get_by_role("button", name="Versions").click()
        rows = page.get_by_role("region", name="Versions on the server").get_by_role("listitem")
        rows.nth(1).wait_for()
        assert [("now" in text, "earlier" in text) for text in rows.all_inner_texts()] == [(True, False), (False, True)]
        assert seen.barriers() == []
        rows.nth(1).get_by_role("button").click()
        page.get_by_role("button", name="To its own place").click()
        page.get_by_text(re.compile("an earlier version was fetched", re.IGNORECASE)).first.wait_for()
    with open(running.path("plan (from server).txt"), "rb") as file:
        assert file.read() == b"as it was"
    with open(path, "rb") as file:
        assert file.read() == b"as it is now"


def test_it_is_steered(running: World, open_window: OpenWindow) -> None:
    furnish(running)
    daemon = running.daemon
    with open_window(daemon) as seen:
        page = seen.show("overview")
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("menuitem", name="Until I resume").click()
        page.get_by_role("button", name="Resume").wait_for()
        assert daemon.ask("GET", "/status")["paused"] is not None
        running.write("waits.txt", b"x")
        page.get_by_role("button", name="Scan now").click()
        page = seen.show("transfers")
        page.get_by_text("waits.txt").first.wait_for()
        page.get_by_role("button", name="Resume").click()
        page.get_by_role("button", name="Pause").wait_for()
        eventually(lambda: daemon.ask("GET", "/files?text=waits.txt")["files"][0]["status"] == "completed")
        before = daemon.stats()["components"]["scanner"]["scans_finished"]
        page.get_by_role("button", name="Scan now").click()
        eventually(lambda: daemon.stats()["components"]["scanner"]["scans_finished"] > before)
        seen.expected = 422
        page = seen.show("settings")
        field = page.get_by_label(re.compile("Chunk size", re.IGNORECASE)).first
        assert field.get_attribute("aria-invalid") == "false"
        field.fill("999")
        page.get_by_role("button", name=re.compile("Save", re.IGNORECASE)).first.click()
        page.locator("[aria-invalid=true]").wait_for()
        assert field.get_attribute("aria-invalid") == "true", "what is wrong is said at its field"
        page.get_by_text("Input should be less than or equal to 64").wait_for()
        assert daemon.ask("GET", "/config")["config"]["uploader"]["chunk_size_mb"] == 4
        page = seen.show("rules")
        page.get_by_text("build/").first.wait_for()
