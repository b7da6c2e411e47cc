"""`pp_client push`, or `pp_client PATH…`: give files to a server once.

Nothing is remembered between runs: the server is asked each time, so what it already has is not sent again, and an
upload that was cut short goes on where it was.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NoReturn

from pp_assist.cli_parsing import (
    CODES,
    FAILED,
    INTERRUPTED,
    NOT_REACHABLE,
    OK,
    REFUSED,
    USAGE,
    Parser,
    Version,
    print_problem,
)
from pp_assist.client_connection import Connection, add_options, connection
from pp_assist.core.errors import AssistError, NeedsLogin, ServerUnreachable, Untrusted
from pp_assist.core.model import Claim
from pp_assist.core.patterns import checked
from pp_assist.progress import Show, amount, progress
from pp_assist.push.found import Found, found, size_of
from pp_assist.push.pushing import CHUNKS_AT_A_TIME, Pushed, Pusher, greeted
from pp_assist.uploader.client import UploadClient
from pp_server.wire.names import display, json_fields

SHOW_S = 0.1


def push(arguments: Sequence[str]) -> NoReturn:
    """Push what the command line names and exit: 0 all stored, 1 some not, 2 usage, 3 not reachable, 4 key refused."""
    args = _parser().parse_args(arguments)
    try:
        server = connection(args)
        for pattern in args.exclude:
            checked(pattern)
        if not (paths := [*args.paths, *args.path]):
            raise ValueError("nothing to push: name a file or a folder")
    except (OSError, ValueError) as error:
        sys.exit(_complain(args, str(error), USAGE))
    named = [os.fsencode(os.path.expanduser(path)) for path in paths]
    try:
        sys.exit(_list(args, named) if args.dry_run else asyncio.run(_push_all(server, args, named)))
    except KeyboardInterrupt:
        sys.exit(_complain(args, "stopped; the same command goes on where it was", INTERRUPTED))
    except NeedsLogin as error:
        sys.exit(_complain(args, str(error), REFUSED))
    except Untrusted as error:
        sys.exit(_complain(args, f"{server.url}: {error}", NOT_REACHABLE))
    except ServerUnreachable as error:
        sys.exit(_complain(args, f"{server.url} does not answer: {error}", NOT_REACHABLE))
    except AssistError as error:
        sys.exit(_complain(args, str(error), FAILED))


def _parser() -> argparse.ArgumentParser:
    what = "Give files to a pp_server once, without a daemon. (Others: ls, get, verify-receipt.)"
    parser = Parser(prog="pp_client push", description=what)
    parser.add_argument("--version", action=Version, prog="pp_client")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a file, or a folder with everything below it")
    parser.add_argument("-p", "--path", action="append", default=[], metavar="PATH", help="the same, as of old")
    parser.add_argument(
        "-e", "--exclude", action="append", default=[], metavar="PATTERN", help="leave out, as .gitignore would"
    )
    parser.add_argument("--hostname", default=socket.gethostname(), help="name of this machine for the server")
    parser.add_argument("--dry-run", action="store_true", help="list what would be offered, and send nothing")
    parser.add_argument("-v", "--verbose", action="store_true", help="name each file that is stored")
    parser.add_argument("--json", action="store_true", help="print one JSON object per file")
    add_options(parser)
    return parser


def _complain(args: argparse.Namespace, text: str, code: int) -> int:
    if args.json:
        print_problem(text, CODES.get(code, "interrupted"), code)
    print(f"pp_client: {text}", file=sys.stderr)
    return code


def _everything(args: argparse.Namespace, paths: Sequence[bytes]) -> Iterator[Found]:
    return chain.from_iterable(found(path, args.exclude) for path in paths)


@dataclass(slots=True)
class Tally:
    """What has become of everything so far."""

    stored: int = 0
    already_there: int = 0
    failed: int = 0
    bytes_done: int = 0
    bytes_sent: int = 0
    total_bytes: int | None = field(default=None)
    """Of everything that there is to do; None: not counted yet."""

    def add(self, pushed: Pushed) -> None:
        """Count one more."""
        self.bytes_done += pushed.size_bytes
        if pushed.problem is not None:
            self.failed += 1
            return
        self.stored += 1
        self.bytes_sent += pushed.bytes_sent
        self.already_there += pushed.bytes_sent < pushed.size_bytes

    def line(self) -> str:
        """Return it for people."""
        there = f" ({self.already_there} of them had been there, wholly or in part)" if self.already_there else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.stored} stored{there}{failed}, {amount(self.bytes_sent)} sent"


async def _push_all(server: Connection, args: argparse.Namespace, paths: Sequence[bytes]) -> int:
    client = UploadClient(server.open(CHUNKS_AT_A_TIME))
    tally = Tally()
    with contextlib.ExitStack() as stack:
        try:
            way = await greeted(client, args.hostname)
            gen = await client.highest_gen(args.hostname) + 1
            shown = stack.enter_context(progress(is_bytes=True, quiet=args.json))

            def report(pushed: Pushed) -> None:
                tally.add(pushed)
                if args.json:
                    print(json.dumps(_fields(pushed), ensure_ascii=False))
                elif pushed.problem is not None or args.verbose:
                    print(_line(pushed), flush=True)

            pusher = Pusher(way, gen, report)
            stack.callback(pusher.close)
            watching = asyncio.create_task(_watch(shown, pusher, tally))
            stack.callback(watching.cancel)
            if sys.stderr.isatty():
                threading.Thread(target=_count, args=(tally, _everything(args, paths)), daemon=True).start()
            await pusher.push(_everything(args, paths))
        finally:
            await client.close()
    if not args.json:
        print(tally.line())
    return FAILED if tally.failed else OK


def _count(tally: Tally, everything: Iterator[Found]) -> None:
    """Count how much there is to do, for the bar alone."""
    tally.total_bytes = sum(size_of(each) for each in everything if isinstance(each, Claim))


async def _watch(shown: Show, pusher: Pusher, tally: Tally) -> None:
    while True:
        done = tally.bytes_done + sum(pusher.under_way.values())
        text = f"{tally.stored} stored" + (f", {tally.failed} failed" if tally.failed else "")
        shown(done, tally.total_bytes, text)
        await asyncio.sleep(SHOW_S)


def _list(args: argparse.Namespace, paths: Sequence[bytes]) -> int:
    """Say what would be offered."""
    failed = count = total = 0
    for each in _everything(args, paths):
        if isinstance(each, Claim):
            path, size, problem = each.location.filepath, size_of(each), None
            count, total = count + 1, total + size
        else:
            path, size, problem = each.filepath, 0, each.problem
            failed += 1
        if args.json:
            said: dict[str, object] = {"size": size} if problem is None else {"problem": problem}
            print(json.dumps({**json_fields(path), **said}, ensure_ascii=False))
        else:
            print(f"{'FAILED' if problem else size:>12}  {_harmless(path)}{': ' + problem if problem else ''}")
    if not args.json:
        print(f"{count} to offer, {amount(total)}; nothing was sent")
    return FAILED if failed else OK


def _fields(pushed: Pushed) -> dict[str, object]:
    status = "stored" if pushed.problem is None else "failed"
    fields = {**json_fields(pushed.filepath), "kind": pushed.kind, "status": status, "sha256": pushed.sha256}
    return fields | ({"bytes_sent": pushed.bytes_sent} if pushed.problem is None else {"problem": pushed.problem})


def _line(pushed: Pushed) -> str:
    name = _harmless(pushed.filepath)
    return f"stored  {name}" if pushed.problem is None else f"FAILED  {name}: {pushed.problem}"


def _harmless(path: bytes) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in display(path))
