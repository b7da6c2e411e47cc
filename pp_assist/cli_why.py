"""`pp_assist why`: where a path stands, and what keeps it."""

import argparse
from typing import Any

from pp_assist.cli_asking import OK, PENDING, absolute, ask, printable, show


def add_commands(commands: Any, command: Any) -> None:
    """Add it to the parser."""
    why = command("why", _why, "why a path is stored, or is not; exit 5 while something about it is pending")
    why.add_argument("path")


def _why(args: argparse.Namespace) -> int:
    from pp_server.wire.names import to_query

    path = absolute(args.path)
    answer = ask(args, "GET", f"/explain?path={to_query(path)}")
    show(args, answer, lambda: [printable(line) for line in _lines(answer)])
    return PENDING if answer["verdict"] == "pending" else OK


def _lines(answer: Any) -> list[str]:
    reason, rule = answer["reason"], answer["rule"]
    lines = [f"{answer['filepath']}: {answer['verdict']} ({reason['code']}): {reason['text']}"]
    if rule:
        where = f", line {rule['line']}" if rule["line"] else ""
        lines.append(f"rule: {rule['pattern']}  ({rule['source']}{where})")
    if answer["next_try_at"]:
        lines.append(f"next try: {answer['next_try_at']}")
    if answer["receipt"]:
        lines.append(f"receipt: number {answer['receipt']['sequence']}, stored at {answer['receipt']['stored_at']}")
    if answer["progress"]:
        now = answer["progress"]
        lines.append(f"on its way: chunk {now['chunks_done']} of {now['chunks_total']} has arrived")
    elif answer["active"]:
        lines.append("it is being worked on at this moment")
    if answer["ahead"]:
        lines.append(f"before it in line: {answer['ahead']}")
    if answer["advice"]:
        lines.append(answer["advice"])
    lines += [f"  {each['at']}  {printable(each['text'])}" for each in answer["history"]]
    return lines
