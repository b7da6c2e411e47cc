"""What is there when something is not: the server, the daemon, the stream."""

import re

from playwright.sync_api import Route

from tests.e2e.harness import World, eventually
from tests.ui.conftest import OpenWindow
from tests.ui.furnishing import furnish, settle


def test_the_server_is_lost_and_back(running: World, open_window: OpenWindow) -> None:
    furnish(running)
    with open_window(running.daemon) as seen:
        page = seen.show("overview")
        page.get_by_text(re.compile("^All [0-9,]+ files")).first.wait_for()
        running.server.kill()
        running.write("while it is away.txt", b"x")
        page.get_by_text("Waiting for the server").first.wait_for()
        assert seen.barriers() == []
        seen.show("servers").get_by_text(re.compile("does not answer|unreachable", re.IGNORECASE)).first.wait_for()
        running.server.start()
        seen.show("overview")
        page.get_by_text("Everything stored").first.wait_for()
    settle(running)


def test_the_daemon_is_lost_and_back(running: World, open_window: OpenWindow) -> None:
    """Its sessions end with it: the page says what to do, and goes on as soon as that is done."""
    with open_window(running.daemon) as seen:
        page = seen.show("overview")
        seen.may_fail = True
        assert running.daemon.stop() == 0
        page.get_by_role("alert").filter(has_text="Not connected").wait_for()
        assert seen.barriers() == []
        running.daemon.start()
        page.get_by_role("heading", name="This page needs a new link").wait_for()
        assert seen.barriers() == []
        seen.enter().show("files")


def test_the_stream_goes_on_where_it_broke_off(running: World, open_window: OpenWindow) -> None:
    """What happened while it was cut comes by the stream, asked for what came after: the list is not asked again."""
    running.write("first.txt", b"1")
    running.daemon.finish(running.tree)
    newest = running.daemon.ask("GET", "/activity")["events"][0]["id"]
    cut = f'event: connected\ndata: {{"last_event_id": {newest}}}\n\n'
    waiting: list[Route] = []
    listed: list[str] = []

    def answer(route: Route) -> None:
        if not waiting and not listed:
            listed.append("from here on")
            route.fulfill(body=cut, content_type="text/event-stream")
        else:
            waiting.append(route)

    with open_window(running.daemon) as seen:
        page = seen.show("activity")
        page.get_by_text("New events do not come by themselves").wait_for(state="detached")
        page.route("**/activity/stream", answer)
        page.reload()
        page.get_by_text("first.txt").first.wait_for()
        eventually(lambda: page.evaluate("1") and waiting)
        page.on("request", lambda request: listed.append(request.url) if "/activity?" in request.url else None)
        running.write("meanwhile.txt", b"2")
        running.daemon.finish(running.tree)
        assert page.get_by_text("meanwhile.txt").count() == 0
        assert waiting[0].request.headers["last-event-id"] == str(newest)
        waiting[0].continue_()
        page.get_by_text("meanwhile.txt").first.wait_for()
        assert listed == ["from here on"]


def test_a_page_that_was_cut_off_shows_what_happened_meanwhile(running: World, open_window: OpenWindow) -> None:
    with open_window(running.daemon) as seen:
        page = seen.show("files?text=meanwhile")
        page.get_by_text("No file is like that").wait_for()
        seen.may_fail = True
        page.context.set_offline(True)
        page.get_by_role("alert").filter(has_text="Not connected").wait_for()
        running.write("meanwhile.txt", b"2")
        running.daemon.finish(running.tree)
        assert page.get_by_text("meanwhile.txt").count() == 0
        page.context.set_offline(False)
        page.get_by_text("meanwhile.txt").first.wait_for()


def test_what_happens_before_the_stream_is_open_is_shown(running: World, open_window: OpenWindow) -> None:
    """The first list is there by then, and nobody hears of it any more."""
    with open_window(running.daemon) as seen:
        page = seen.show("activity")
        page.get_by_text("New events do not come by themselves").wait_for(state="detached")
        waiting: list[Route] = []
        page.route("**/activity/stream", lambda route: waiting.append(route))
        page.reload()
        seen.show("activity")
        eventually(lambda: page.evaluate("1") and waiting)
        running.write("in between.txt", b"1")
        running.daemon.finish(running.tree)
        assert page.get_by_text("in between.txt").count() == 0
        waiting[0].continue_()
        page.get_by_text("in between.txt").first.wait_for()
