"""What does not work is said, and what opened is left without anything done."""

import pytest

from tests.e2e.harness import World
from tests.ui.conftest import OpenWindow
from tests.ui.furnishing import furnish, lose_many


def test_what_has_no_answer_says_so_where_it_would_be(running: World, open_window: OpenWindow) -> None:
    with open_window(running.daemon) as seen:
        seen.expected = 500
        seen.page.route("**/pace?*", lambda route: route.fulfill(status=500, json={"detail": "it broke", "code": "x"}))
        seen.show("overview").get_by_role("alert").filter(has_text="It broke.").wait_for()


@pytest.mark.parametrize(("status", "full"), [(503, True), (500, False)])
def test_only_where_too_many_listen_is_that_said(
    running: World, open_window: OpenWindow, status: int, full: bool
) -> None:
    with open_window(running.daemon) as seen:
        seen.expected = status
        page = seen.show("activity")
        page.route("**/activity/stream", lambda route: route.fulfill(status=status, json={"detail": "no"}))
        with page.expect_response("**/activity/stream"):
            page.reload()
        page.get_by_text("New events do not come by themselves").wait_for()
        page.wait_for_timeout(500)
        assert page.get_by_text("Too many pages listen").count() == full


def test_whatever_opens_is_left_without_anything_done(running: World, open_window: OpenWindow) -> None:
    furnish(running)
    lost = lose_many(running)
    with open_window(running.daemon) as seen:
        page = seen.show("held-deletions")
        words = page.get_by_role("main").get_by_role("button").all_inner_texts()
        assert words.index("Reject: keep them on the server") < words.index(f"Approve {lost} files")
        page.get_by_role("button", name=f"Approve {lost} files").click()
        assert page.evaluate("document.activeElement.textContent") == "Cancel"
        page.keyboard.press("Enter")
        page.get_by_role("dialog").wait_for(state="detached")
        for screen, opens in (("servers", "Add a server"), ("roots", "Add a folder")):
            for leave in ("Cancel", "Escape"):
                seen.show(screen).get_by_role("button", name=opens).click()
                dialog = page.get_by_role("dialog", name=opens)
                dialog.wait_for()
                page.keyboard.press("Escape") if leave == "Escape" else dialog.get_by_role("button", name=leave).click()
                dialog.wait_for(state="detached")
        page = seen.show("files?text=large.bin")
        page.get_by_role("gridcell").filter(has_text="large.bin").first.click()
        panel = page.get_by_role("complementary", name="File large.bin")
        panel.get_by_role("button", name="Fetch it back").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        page.get_by_role("dialog").wait_for(state="detached")
        page.get_by_role("grid", name="Files").focus()
        page.keyboard.press("Escape")
        panel.wait_for(state="detached")
    assert running.daemon.ask("GET", "/status")["held_deletions"] == lost
