"""`pp_assist deletions`: so many files are missing at once that a person must say whether that is meant."""

import argparse
from typing import Any

from pp_assist.cli_asking import OK, PENDING, REFUSED, CommandError, ask, printable, show


def add_commands(commands: Any, command: Any) -> None:
    """Add them to the parser."""
    text = "deletions that wait for your word"
    group = commands.add_parser("deletions", help=text, description=text)
    actions = group.add_subparsers(required=True, metavar="COMMAND")
    command("list", _list, "what is held, and why; exit 5 where something is", actions)
    approve = command("approve", _approve, "tell the server that these files are deleted", actions)
    approve.add_argument("id", type=int)
    approve.add_argument("--count", type=int, help="only if exactly so many files are held (default: as many as now)")
    reject = command("reject", _reject, "keep these files on the server, and ask no more", actions)
    reject.add_argument("id", type=int)


def _list(args: argparse.Namespace) -> int:
    answer = ask(args, "GET", "/deletions")
    show(args, answer, lambda: [line for held in answer["held"] for line in _lines(held)] or ["nothing is held"])
    return PENDING if answer["held"] else OK


def _lines(held: Any) -> list[str]:
    what = "all files" if held["reason"] == "all" else f"{held['count']} of {held['known']} files"
    more = held["count"] - len(held["sample"])
    return [
        f"{held['id']:>4}  {printable(held['path'])}: {what} are missing since {held['created_at']}",
        *(f"        {printable(path)}" for path in held["sample"]),
        *([f"        ... and {more} more"] if more > 0 else []),
        f"      they are meant: pp_assist deletions approve {held['id']}",
        f"      they are not, keep them: pp_assist deletions reject {held['id']}",
    ]


def _approve(args: argparse.Namespace) -> int:
    count = args.count if args.count is not None else _count(args)
    answer = ask(args, "POST", f"/deletions/{args.id}/approve", {"count": count})
    show(args, answer, lambda: [f"{answer['count']} deletions go ahead"])
    return OK


def _count(args: argparse.Namespace) -> int:
    for held in ask(args, "GET", "/deletions")["held"]:
        if held["id"] == args.id:
            return int(held["count"])
    raise CommandError(f"nothing is held under {args.id}", REFUSED)


def _reject(args: argparse.Namespace) -> int:
    answer = ask(args, "POST", f"/deletions/{args.id}/reject")
    show(args, answer, lambda: [f"{answer['count']} files stay on the server"])
    return OK
