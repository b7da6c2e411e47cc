"""`pp_assist pause` and `resume`: hold work back for a while."""

import argparse
from datetime import datetime, timedelta
from typing import Any

from pp_assist.cli_asking import OK, ask, show

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_commands(commands: Any, command: Any) -> None:
    """Add them to the parser."""
    pause = command("pause", _pause, "hash and send nothing for a while; changes are noted meanwhile")
    ends = pause.add_mutually_exclusive_group()
    ends.add_argument("--for", dest="duration", type=duration, metavar="TIME", help="such as 90s, 30m, 2h or 1d")
    ends.add_argument("--until", type=moment, metavar="TIME", help="such as 18:00, or 2030-01-31T18:00")
    command("resume", _resume, "go on after a pause")


def duration(text: str) -> timedelta:
    """Read 90s, 30m, 2h or 1d; a bare number is seconds."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "s")
    try:
        found = timedelta(**{UNITS[unit]: float(number)})
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 90s, 30m, 2h or 1d") from error
    if found <= timedelta():
        raise argparse.ArgumentTypeError("must be longer than nothing")
    return found


def moment(text: str, now: datetime | None = None) -> datetime:
    """Read 18:00 (the next one) or an ISO 8601 date and time; both are local where they do not say otherwise."""
    now = now or datetime.now().astimezone()
    try:
        if len(text) <= 5 and ":" in text:
            time = datetime.strptime(text, "%H:%M").time()
            at = now.replace(hour=time.hour, minute=time.minute, second=0, microsecond=0)
            return at if at > now else at + timedelta(days=1)
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 18:00 or 2030-01-31T18:00") from error


def _pause(args: argparse.Namespace) -> int:
    body: dict[str, Any] = {}
    if args.duration:
        body["seconds"] = args.duration.total_seconds()
    elif args.until:
        body["until"] = args.until.isoformat()
    answer = ask(args, "POST", "/pause", body)
    show(args, answer, lambda: [f"paused until {answer['until'] or 'you say pp_assist resume'}"])
    return OK


def _resume(args: argparse.Namespace) -> int:
    answer = ask(args, "POST", "/resume")
    show(args, answer, lambda: ["going on"])
    return OK
