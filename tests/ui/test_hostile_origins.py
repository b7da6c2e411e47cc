"""Pages of others, in the very browser whose user was let in: whatever they try, nothing is read or changed."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright

from tests.e2e.harness import Daemon, World
from tests.ui.browsing import chromium, context_of, window
from tests.ui.conftest import MakeWorld
from tests.ui.furnishing import furnish

pytestmark = pytest.mark.timeout(400)

REBOUND = ("rebound.test", "127.0.0.1.rebound.test", "localhost.rebound.test")
RESOLVED = "--host-resolver-rules=" + ", ".join(f"MAP {name} 127.0.0.1" for name in REBOUND)
UNPROTECTED = "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests"
"""What newer browsers do for machines like ours is not what we rely on."""

TRIES = r"""
async (target) => {
  const said = {};
  const all = [];
  const note = (name, work) => {
    const late = new Promise((resolve) => setTimeout(resolve, 5000, "nothing"));
    const found = Promise.race([work(), late]).catch(() => "refused");
    all.push(found.then((result) => { said[name] = result; }));
  };
  const read = (url, init) => async () => {
    const answer = await fetch(url, init);
    return answer.type === "opaque" ? "opaque" : answer.status + " " + (await answer.text()).slice(0, 200);
  };
  const json = JSON.stringify({ seconds: 3600, pattern: "*", path: "/tmp" });
  for (const path of ["/", "/ui", "/health", "/status", "/files", "/config", "/openapi.json", "/activity"])
    note("GET " + path, read(target + path, { credentials: "include" }));
  for (const path of ["/pause", "/excludes", "/paths", "/scan/trigger", "/session/ticket", "/session/leave", "/stop"]) {
    note("POST " + path, read(target + path, { method: "POST", body: json, credentials: "include" }));
    note("no-cors " + path,
      read(target + path, { method: "POST", mode: "no-cors", body: json, credentials: "include" }));
    note("with the header " + path, read(target + path, {
      method: "POST", body: json, credentials: "include",
      headers: { "Content-Type": "application/json", "X-PutPlace-CSRF": "1" } }));
    note("beacon " + path, async () => navigator.sendBeacon(target + path, json) ? "sent" : "refused");
  }
  note("DELETE", read(target + "/paths/1", { method: "DELETE", credentials: "include" }));
  note("script", () => new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = target + "/status";
    script.onload = () => resolve("loaded");
    script.onerror = reject;
    document.head.append(script);
  }));
  note("image", () => new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve("loaded");
    image.onerror = reject;
    image.src = target + "/ui/favicon.svg";
  }));
  note("stream", () => new Promise((resolve, reject) => {
    const stream = new EventSource(target + "/activity/stream", { withCredentials: true });
    stream.onopen = () => resolve("open");
    stream.onerror = () => { stream.close(); reject(); };
  }));
  note("socket", () => new Promise((resolve, reject) => {
    const socket = new WebSocket(target.replace("http", "ws") + "/ws/progress");
    socket.onopen = () => resolve("open");
    socket.onerror = reject;
  }));
  for (const path of ["/ui", "/status"])
    note("frame " + path, () => new Promise((resolve, reject) => {
      const frame = document.createElement("iframe");
      frame.onload = () => {
        try { resolve(frame.contentDocument?.body ? "read " + frame.contentDocument.body.textContent : "hidden"); }
        catch { resolve("hidden"); }
      };
      frame.src = target + path;
      document.body.append(frame);
    }));
  for (const kind of ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
    note("form " + kind, () => new Promise((resolve) => {
      const form = document.createElement("form");
      const inner = document.createElement("iframe");
      inner.name = "to" + kind.length;
      Object.assign(form, { method: "POST", action: target + "/pause", enctype: kind, target: inner.name });
      const field = document.createElement("input");
      field.name = '{"seconds": 3600, "x": "';
      field.value = '"}';
      form.append(field);
      document.body.append(inner, form);
      form.submit();
      setTimeout(resolve, 500, "sent");
    }));
  await Promise.all(all);
  return said;
}
"""
NOTHING_READ = {"refused", "opaque", "hidden", "nothing", "sent"}
"""An opaque answer is one that the page may not look at; whether it did anything is asked of the daemon."""


@contextmanager
def somebody_elses_page() -> Iterator[int]:
    """Serve an empty page at a port of its own."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>harmless</title><body></body>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def state_of(daemon: Daemon) -> dict[str, Any]:
    """Everything that a request could have changed."""
    status = daemon.ask("GET", "/status")
    return {
        "pid": daemon.process and daemon.process.pid, "paused": status["paused"],
        "scans": daemon.stats()["components"]["scanner"]["scans_finished"],
        **{path: daemon.ask("GET", path) for path in ("/excludes", "/servers", "/config", "/fetch", "/queue")},
        "paths": [each["path"] for each in daemon.ask("GET", "/paths")["paths"]],
    }  # fmt: skip


def tried(page: Page, target: str) -> dict[str, str]:
    """Try everything against *target* from what is shown; return what came of it where that is too much."""
    said: dict[str, str] = page.evaluate(TRIES, target)
    assert len(said) > 45
    return {what: result for what, result in said.items() if result not in NOTHING_READ}


def test_no_page_of_others_reads_or_changes_anything(make_world: MakeWorld, playwright: Playwright) -> None:
    running = make_world(PP_ASSIST_SCANNER__SCAN_INTERVAL="3600")
    running.begin()
    furnish(running)
    daemon = running.daemon
    target = f"http://127.0.0.1:{daemon.port}"
    before = state_of(daemon)
    with chromium(playwright, RESOLVED, UNPROTECTED) as browser, somebody_elses_page() as port:
        context = context_of(browser)
        ours = context.new_page()
        ticket = daemon.ask("POST", "/session/ticket")["ticket"]
        ours.goto(f"{target}/ui#ticket={ticket}")
        ours.get_by_role("navigation", name="Screens").wait_for()
        theirs = context.new_page()
        for origin in (f"http://127.0.0.1:{port}", f"http://localhost:{port}", f"http://{REBOUND[0]}:{port}"):
            for aim in (target, f"http://localhost:{daemon.port}"):
                theirs.goto(origin)
                assert tried(theirs, aim) == {}, (origin, aim)
        for name in REBOUND:
            page = f"http://{name}:{daemon.port}"
            theirs.route(f"{page}/start", lambda route: route.fulfill(body="<body></body>", content_type="text/html"))
            theirs.goto(f"{page}/start")  # as it was served before the name was turned over to this machine
            found = tried(theirs, page)
            for what, result in found.items():
                assert result.startswith("403 ") or "forbidden_host" in result, (name, what, result)
            assert "GET /status" in found, "it was the daemon that answered"
            answer = theirs.goto(f"{page}/ui")
            assert answer is not None and (answer.status, json.loads(answer.body())["code"]) == (403, "forbidden_host")
        assert ours.evaluate("async () => (await fetch('/status')).status") == 200, "and whoever was let in still is"
        context.close()
    assert state_of(daemon) == before


def test_a_link_from_elsewhere_leads_nowhere(running: World, playwright: Playwright) -> None:
    """Not even the empty page is opened by a page of others: it could not be told from one that was opened by hand."""
    with chromium(playwright) as browser, somebody_elses_page() as port:
        context = context_of(browser)
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}")
        with page.expect_navigation():
            page.evaluate("url => { location.href = url }", f"http://127.0.0.1:{running.daemon.port}/ui#ticket=x")
        assert "forbidden_origin" in page.locator("body").inner_text()
        context.close()
        with window(browser, running.daemon) as seen:
            seen.show("overview")
