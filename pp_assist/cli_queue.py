"""`pp_assist queue`: what is in line, and what a person does with single files of it."""

import argparse
from typing import Any
from urllib.parse import urlencode

from pp_assist.cli_asking import OK, REFUSED, USAGE, CommandError, ask, named, printable, show

ACTIONS = {
    "bump": "send it next",
    "hold": "neither hash nor send it until it is released",
    "release": "let it go on",
    "retry": "try it at once: what failed, was set aside or was cancelled",
    "cancel": "leave it alone until it changes",
}


def add_commands(commands: Any, command: Any) -> None:
    """Add them to the parser."""
    text = "what is in line to be hashed, sent or deleted, and why it waits"
    group = commands.add_parser("queue", help=text, description=text)
    actions = group.add_subparsers(required=True, metavar="COMMAND")
    listing = command("list", _list, "show it, a page at a time", actions)
    listing.add_argument("--stage", choices=["checksum", "upload", "vanished", "deletion"])
    listing.add_argument("--state", choices=["waiting", "eligible", "backoff", "parked", "held"])
    listing.add_argument("--limit", type=int, default=50, metavar="N")
    listing.add_argument("--offset", type=int, default=0, metavar="N")
    for name, meaning in ACTIONS.items():
        action = command(name, _steer, meaning, actions)
        action.set_defaults(action=name)
        action.add_argument("path", nargs="*", help="a file, or a folder with all that is below it")
        action.add_argument("--glob", metavar="PATTERN", help="what matches, as a line of a .gitignore would")


def _list(args: argparse.Namespace) -> int:
    wanted = {"stage": args.stage, "state": args.state, "limit": args.limit, "offset": args.offset}
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    answer = ask(args, "GET", f"/queue?{query}")
    show(args, answer, lambda: _lines(answer))
    return OK


def _lines(answer: Any) -> list[str]:
    if not answer["items"]:
        return ["nothing is in line" if not answer["total"] else f"there are only {answer['total']}"]
    shown = answer["offset"] + len(answer["items"])
    more = answer["total"] - shown
    return [
        *(_line(item) for item in answer["items"]),
        *([f"... and {more} more: --offset {shown}"] if more > 0 else []),
    ]


def _line(item: Any) -> str:
    now = "at work" if item["active"] else item["state"]
    if item["chunks_total"]:
        now = f"chunk {item['chunks_done']} of {item['chunks_total']}"
    why = f"  ({item['reason']})" if item["reason"] else ""
    return f"{item['stage']:<9} {now:<16} {printable(item['filepath'])}{why}"


def _steer(args: argparse.Namespace) -> int:
    if bool(args.path) == (args.glob is not None):
        raise CommandError("name files and folders, or --glob PATTERN", USAGE)
    bodies = [{"glob": args.glob}] if args.glob is not None else [named(path) for path in args.path]
    matched = sum(ask(args, "POST", f"/queue/{args.action}", body, timeout_s=600)["matched"] for body in bodies)
    show(args, {"matched": matched}, lambda: [f"{args.action}: {matched} files in line"])
    return OK if matched else REFUSED
