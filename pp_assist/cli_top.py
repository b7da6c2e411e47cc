"""`pp_assist top`: what the daemon does, as it does it."""

import argparse
import contextlib
import json
import sys
import threading
import time
from typing import Any

from pp_assist.cli_asking import OK, USAGE, CommandError, address, ask

AGAIN_S = 1.0
STREAM_S = 90.0
"""The daemon says something every 30 s."""


def add_commands(commands: Any, command: Any) -> None:
    """Add it to the parser."""
    top = command("top", _top, "what the daemon does, as it does it; Ctrl+C ends it")
    top.add_argument("--once", action="store_true", help="print one picture, and end")
    top.add_argument("--interval", type=float, default=1.0, metavar="SECONDS", help="between two looks (default: 1)")


def _top(args: argparse.Namespace) -> int:
    from pp_assist.top.seen import Seen

    if not 0.1 <= args.interval <= 3600:
        raise CommandError("--interval must be 0.1 to 3600", USAGE)
    seen = Seen()
    for event in reversed(ask(args, "GET", "/activity?limit=50")["events"]):
        seen.hear(event)
    if not args.once:
        threading.Thread(target=_listen, args=(args, seen), daemon=True).start()
    if args.once or args.json or not sys.stdout.isatty():
        return _print(args, seen)
    from rich.console import Console
    from rich.live import Live

    with contextlib.suppress(KeyboardInterrupt), Live(console=Console(), screen=True, auto_refresh=False) as live:
        while True:
            live.update(_drawn(_looked(args), seen), refresh=True)
            time.sleep(args.interval)
    return OK


def _print(args: argparse.Namespace, seen: Any) -> int:
    """Print one picture, or one after the other where nobody looks at a terminal."""
    while True:
        now = _looked(args)
        if args.json:
            print(json.dumps({**now, "events": list(seen.events)}, ensure_ascii=False), flush=True)
        else:
            from rich.console import Console

            Console().print(_drawn(now, seen))
        if args.once:
            return OK
        time.sleep(args.interval)


def _looked(args: argparse.Namespace) -> dict[str, Any]:
    parts = {"status": "/status", "stats": "/stats", "under_way": "/queue?active=true&limit=100"}
    return {**{name: ask(args, "GET", path) for name, path in parts.items()}, **ask(args, "GET", "/paths")}


def _drawn(now: Any, seen: Any) -> Any:
    from pp_assist.top.frame import frame

    speed = seen.note_sent(now["stats"]["components"]["uploader"]["bytes_sent"])
    return frame(now["stats"], now["status"], now["paths"], now["under_way"]["items"], seen.events, speed)


def _listen(args: argparse.Namespace, seen: Any) -> None:
    """Hear what happens, for ever; where the stream ends it goes on behind the last event."""
    import http.client

    from pp_assist.top.seen import read_events

    last_id = ""
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException, CommandError, ValueError):
            host, token = address(args)
            daemon = http.client.HTTPConnection(host, timeout=STREAM_S)
            headers = {"Authorization": f"Bearer {token}"} | ({"Last-Event-ID": last_id} if last_id else {})
            daemon.request("GET", "/activity/stream", headers=headers)
            with contextlib.closing(daemon), daemon.getresponse() as stream:
                for event_id, data in read_events(stream):
                    last_id = event_id
                    seen.hear(json.loads(data))
        time.sleep(AGAIN_S)
