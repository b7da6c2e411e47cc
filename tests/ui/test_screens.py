"""Every screen, of a daemon with something to show: without errors or barriers, and names are only ever text."""

import re

import pytest

from tests.e2e.harness import World
from tests.ui.browsing import NARROW, SCREENS, WIDE
from tests.ui.conftest import OpenWindow
from tests.ui.furnishing import HOSTILE, furnish, lose_many, settle

pytestmark = pytest.mark.timeout(400)


def test_every_screen_is_without_errors_and_barriers(running: World, open_window: OpenWindow) -> None:
    furnish(running)
    lose_many(running)
    with open_window(running.daemon) as seen:
        for size in (WIDE, NARROW):
            seen.page.set_viewport_size(size)  # type: ignore[arg-type]
            for screen in SCREENS:
                page = seen.show(screen)
                for theme in ("light", "dark"):
                    seen.dressed(theme)
                    assert seen.barriers() == [], (screen, theme, size)
                wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert wider <= 0, f"{screen} is wider than {size['width']} pixels"


def test_hostile_names_are_text(running: World, open_window: OpenWindow) -> None:
    furnish(running)
    with open_window(running.daemon) as seen:
        page = seen.show("files?text=hostile&sort=path")
        rows = page.get_by_role("grid", name="Files").get_by_role("row")
        assert rows.count() == len(HOSTILE) + 1, "each has a row, and there is the head"
        for text in ("<img src=x onerror=alert(1)>.txt", "javascript:alert(1)", "&lt;b&gt;&amp;.txt"):
            row = rows.filter(has_text=text)
            row.click()
            panel = page.get_by_role("complementary").or_(page.get_by_role("dialog"))
            panel.filter(has_text=text).first.wait_for()
            assert seen.barriers() == []
            page.keyboard.press("Escape")
        for screen in ("activity", "transfers", "overview"):
            seen.show(screen)
        assert page.evaluate("window.owned") is None
        assert page.locator("img[src=x], main script").count() == 0


def test_it_can_be_used_with_the_keyboard_alone(running: World, open_window: OpenWindow) -> None:
    furnish(running)
    with open_window(running.daemon) as seen:
        page = seen.page
        page.keyboard.press("Tab")
        assert "Skip" in page.evaluate("document.activeElement.textContent")
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent").strip().startswith("Files"):
                break
        page.keyboard.press("Enter")
        page.get_by_role("heading", level=1, name="Files", exact=True).wait_for()
        page.get_by_role("grid", name="Files").focus()
        page.get_by_role("gridcell").filter(has_text=".txt").first.wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.get_by_role("region", name="Life line").wait_for()


def test_how_long_ago_it_was_grows_in_a_list_in_which_nothing_happens(running: World, open_window: OpenWindow) -> None:
    running.write("once.txt", b"x")
    settle(running)
    with open_window(running.daemon) as seen:
        page = seen.show("files?text=once")
        row = page.get_by_role("grid", name="Files").get_by_role("row").filter(has_text="once.txt")
        row.filter(has_text=re.compile("now|[0-9] s ago")).wait_for()
        page.evaluate("() => { const now = Date.now; Date.now = () => now() + 2 * 3600 * 1000 }")
        row.filter(has_text="2 h ago").wait_for()


def test_what_is_searched_for_is_in_the_address_and_the_box(running: World, open_window: OpenWindow) -> None:
    running.write("letter.txt", b"x")
    settle(running)
    with open_window(running.daemon) as seen:
        for screen, label in (("files", "Part of the path"), ("activity", "Part of the path or message")):
            page = seen.show(screen)
            box = page.get_by_role("searchbox", name=label, exact=True)
            box.fill("letter")
            page.wait_for_url("**text=letter*")
            seen.show(f"{screen}?text=other")
            page.wait_for_function("() => document.querySelector('[type=search]').value === 'other'")
