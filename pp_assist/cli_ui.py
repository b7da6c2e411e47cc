"""`pp_assist ui`: the daemon's page in the browser of whoever asks, let in by a link that works once."""

import argparse
import os
import sys
from typing import Any

from pp_assist.cli_asking import OK, CommandError, address, ask, show


def add_commands(commands: Any, command: Any) -> None:
    """Add it to the parser."""
    ui = command("ui", _ui, "open the daemon's page in the browser")
    ui.add_argument("--no-open", action="store_true", help="print the link instead; it works once, within a minute")


def _ui(args: argparse.Namespace) -> int:
    ticket = ask(args, "POST", "/session/ticket")
    host, _ = address(args)
    url = f"http://{host}/ui#ticket={ticket['ticket']}"  # behind the #: no browser sends it, and no log has it
    opened = not args.no_open and _opened(url)
    answer = {"url": url, "opened": opened, "expires_in_seconds": ticket["expires_in_seconds"]}
    show(args, answer, lambda: _lines(answer, args.no_open))
    return OK


def _lines(answer: Any, wanted: bool) -> list[str]:
    if answer["opened"]:
        return ["the page is in your browser"]
    why = [] if wanted else ["there is no browser here that could be opened; this link works once, within a minute:"]
    return [*why, answer["url"]]


def _opened(url: str) -> bool:
    """Say whether a browser was started with *url*; one that draws on this very terminal is none."""
    import webbrowser

    graphical = sys.platform in ("win32", "darwin") or any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY"))
    if not graphical and not os.environ.get("BROWSER"):
        return False
    try:
        return webbrowser.open(url)
    except webbrowser.Error as error:
        raise CommandError(f"the browser cannot be started: {error}; --no-open prints the link") from error
