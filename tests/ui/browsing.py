"""A real browser on the page of a real daemon, and everything about it that must never happen."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request

from tests.e2e.harness import Daemon

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
SCREENS = {
    "overview": "", "transfers": "Transfers", "files": "Files", "held-deletions": "Held deletions",
    "activity": "Activity", "roots": "Roots", "rules": "Rules", "servers": "Servers", "settings": "Settings",
}  # fmt: skip
"""By their place in the address, their titles; that of the first is a sentence."""

WAIT_MS = 30_000.0
TRACED_MS = 500.0
"""A process hears of it a moment later that it is to note its tasks, and notes a task at its end."""

NOTED = """
window.noted = { violations: [] };
document.addEventListener("securitypolicyviolation", (event) => {
  window.noted.violations.push(event.violatedDirective + ": " + event.blockedURI);
});
"""
GO = """hash => new Promise((resolve) => {
  const drawn = () => requestAnimationFrame(() => requestAnimationFrame(resolve));
  if (location.hash === hash) return drawn();
  addEventListener("hashchange", drawn, { once: true });
  location.hash = hash;
})"""
"""What was shown before is not taken for what was asked for: the page hears of it first, and draws it."""
AXE = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .map((each) => each.id + ": " + each.nodes.map((node) => node.target.join(" ")).join(", "))"""


def axe() -> str:
    """Return the source of axe-core, which a package of ours for development carries."""
    import axe_playwright_python

    return Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")


def executable() -> str:
    """Return the system's Chromium; without one, the test is skipped."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium here (Debian: apt install chromium)")
    return found


@contextlib.contextmanager
def chromium(playwright: Playwright, *more: str) -> Iterator[Browser]:
    """Start the system's Chromium for the block."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PP_")}
    browser = playwright.chromium.launch(executable_path=executable(), args=[*ARGUMENTS, *more], env=environment)
    try:
        yield browser
    finally:
        browser.close()


class Window:
    """A page that was let in. What is wrong with it is noted, and asked for at the end."""

    def __init__(self, page: Page, daemon: Daemon) -> None:
        self.page = page
        self.daemon = daemon
        self.origin = f"http://127.0.0.1:{daemon.port}"
        self.said: list[str] = []
        self.elsewhere: list[str] = []
        self.may_fail = False
        """While the daemon is away on purpose, requests fail, and the browser says so."""
        self.expected: int | None = None
        """A status that is not wrong: browsers say of all but good ones that something failed."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        is_expected = self.may_fail or (self.expected is not None and f"status of {self.expected}" in message.text)
        if message.type in ("error", "warning") and not (is_expected and "Failed to load" in message.text):
            self.said.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(f"{self.origin}/"):
            self.elsewhere.append(request.url)

    def enter(self) -> "Window":
        """Open the page by a link that works once, as `pp_assist ui` does."""
        ticket = self.daemon.ask("POST", "/session/ticket")["ticket"]
        self.page.goto(f"{self.origin}/ui#ticket={ticket}")
        self.page.get_by_role("navigation", name="Screens").wait_for(state="attached")
        assert ticket not in self.page.url
        return self

    def show(self, screen: str) -> Page:
        """Go to a screen; return once it is drawn and nothing on it is being loaded any more."""
        self.page.evaluate(GO, f"#/{screen}")
        place = screen.partition("?")[0]
        main = self.page.locator(f"main.screen-{place}")
        title = main.get_by_role("heading", level=1)
        (title.get_by_text(SCREENS[place], exact=True) if SCREENS[place] else title).wait_for()
        self.page.wait_for_function("() => document.querySelector('main .bone, main [aria-busy=true]') === null")
        return self.page

    def dressed(self, theme: str) -> None:
        """Have it light or dark."""
        self.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        self.page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)

    def barriers(self) -> list[str]:
        """Say what axe finds in the way of people on what is shown now."""
        found: list[str] = self.page.evaluate(AXE)
        return found

    @contextlib.contextmanager
    def tasks(self) -> Iterator[list[float]]:
        """Note how long each task of the page keeps a processor in the block, in ms. Known behind the block.

        Processor time: how long others had the processor meanwhile says nothing about the page.
        """
        browser = self.page.context.browser
        assert browser is not None
        taken: list[float] = []
        browser.start_tracing(page=self.page, categories=["toplevel"])
        try:
            self.page.wait_for_timeout(TRACED_MS)
            yield taken
            self.page.wait_for_timeout(TRACED_MS)
        finally:
            events = json.loads(browser.stop_tracing())["traceEvents"]
        drawing = {_thread(each) for each in events if each.get("args", {}).get("name") == "CrRendererMain"}
        taken += [
            each["tdur"] / 1000
            for each in events
            if "RunTask" in each["name"] and "tdur" in each and _thread(each) in drawing
        ]

    def problems(self) -> list[str]:
        """Say everything that should not have happened."""
        violations: list[str] = self.page.evaluate("() => noted.violations")
        return [*self.said, *(f"asked elsewhere: {url}" for url in self.elsewhere), *violations]


def _thread(event: Any) -> tuple[int, int]:
    return event["pid"], event["tid"]


def context_of(browser: Browser, **more: Any) -> BrowserContext:
    """Return a browser's context that notes what is asked about later."""
    context = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **more})
    context.set_default_timeout(WAIT_MS)
    context.add_init_script(NOTED)
    context.add_init_script(axe())
    return context


@contextlib.contextmanager
def window(browser: Browser, daemon: Daemon, **more: Any) -> Iterator[Window]:
    """Open a window on *daemon* for the block, which must end without anything wrong."""
    context = context_of(browser, **more)
    try:
        opened = Window(context.new_page(), daemon)
        try:
            yield opened.enter()
        except BaseException:
            print(opened.said, opened.page.url, opened.page.locator("body").inner_text()[:3000], sep="\n")
            raise
        problems = opened.problems()
        assert not problems, problems
    finally:
        context.close()
