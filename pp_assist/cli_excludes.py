"""`pp_assist exclude`: what is left out in every watched folder."""

import argparse
from typing import Any

from pp_assist.cli_asking import OK, REFUSED, CommandError, ask, printable, show


def add_commands(commands: Any, command: Any) -> None:
    """Add them to the parser."""
    text = "what is left out in every watched folder"
    group = commands.add_parser("exclude", help=text, description=text)
    actions = group.add_subparsers(required=True, metavar="COMMAND")
    add = command("add", _add, "leave out what matches, as a line of a .gitignore would", actions)
    add.add_argument("pattern")
    preview = command("preview", _preview, "what a pattern would leave out of what is stored or to be", actions)
    preview.add_argument("pattern")
    command("list", _list, "the patterns that were added so", actions)
    rm = command("rm", _rm, "take it in again", actions)
    rm.add_argument("pattern", help="the pattern, or its id")


def _add(args: argparse.Namespace) -> int:
    answer = ask(args, "POST", "/excludes", {"pattern": args.pattern})
    show(args, answer, lambda: [f"left out from now on: {printable(answer['pattern'])} (id {answer['id']})"])
    return OK


def _preview(args: argparse.Namespace) -> int:
    answer = ask(args, "POST", "/excludes/preview", {"pattern": args.pattern}, timeout_s=600)
    show(args, answer, lambda: _hidden(answer))
    return OK


def _hidden(answer: Any) -> list[str]:
    more = answer["files"] - len(answer["sample"])
    return [
        f"{answer['files']} files ({answer['size_bytes']} bytes) would be left out",
        *(f"  {printable(path)}" for path in answer["sample"]),
        *([f"  ... and {more} more"] if more > 0 else []),
    ]


def _list(args: argparse.Namespace) -> int:
    answer = ask(args, "GET", "/excludes")
    lines = [f"{each['id']:>4}  {printable(each['pattern'])}" for each in answer["patterns"]]
    show(args, answer, lambda: lines or ["no pattern was added"])
    return OK


def _rm(args: argparse.Namespace) -> int:
    for each in ask(args, "GET", "/excludes")["patterns"]:
        if args.pattern in (each["pattern"], str(each["id"])):
            answer = ask(args, "DELETE", f"/excludes/{each['id']}")
            show(args, answer, lambda: [f"taken in again: {printable(each['pattern'])}"])  # noqa: B023
            return OK
    raise CommandError(f"{args.pattern} is not among those that were added", REFUSED)
