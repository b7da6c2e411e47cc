"""`pp_client ls` and `pp_client get`: what a server has, and bringing it back."""

import argparse
import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, NoReturn

from pp_assist import posix
from pp_assist.cli_parsing import (
    CODES,
    FAILED,
    INTERRUPTED,
    NOT_REACHABLE,
    OK,
    REFUSED,
    USAGE,
    Parser,
    print_problem,
)
from pp_assist.cli_parsing import PENDING as LEFT
from pp_assist.client_connection import add_options, connection
from pp_assist.core.errors import AssistError, NeedsLogin, ServerUnreachable
from pp_assist.restore.folder import Done, Folder
from pp_assist.restore.restore import restore
from pp_assist.restore.source import Source
from pp_assist.restore.wanted import Outcome, Outside, Wanted, wanted
from pp_assist.restore.when import When, moment
from pp_server.wire.names import display, from_json, json_fields
from pp_server.wire.restore import TreeEntry

CONNECTIONS = 4
_LETTERS = {"file": "-", "dir": "d", "symlink": "l"}


class SeveralHosts(ValueError):
    """The same path of several machines: a person must say which one is meant."""


def ls(arguments: Sequence[str]) -> NoReturn:
    """List what the server has, and exit: 0, 2 usage, 3 not reachable, 4 key refused, 1 anything else."""
    parser = Parser(prog="pp_client ls", description="List what a pp_server has for you.")
    parser.add_argument("prefix", nargs="?", metavar="PREFIX", help="a folder or file, as it was called on its machine")
    parser.add_argument("--host", metavar="HOST", help="of this machine only: its name, or its id")
    shown = _when_options(parser)
    shown.add_argument("--versions", action="store_true", help="every version of each path, with its deletions")
    parser.add_argument("--json", action="store_true", help="print one JSON object per path")
    add_options(parser)
    args = parser.parse_args(arguments)
    _run(args, lambda source: _list(source, args))


def get(arguments: Sequence[str]) -> NoReturn:
    """Bring files back and exit: 0 all there, 1 some failed, 5 some differ and were left, else as `ls`."""
    parser = Parser(prog="pp_client get", description="Bring a folder, or one file, back from a pp_server.")
    parser.add_argument("prefix", metavar="PREFIX", help="the folder or file, as it was called on its machine")
    parser.add_argument("--to", required=True, metavar="DIR", help="where to: what was in PREFIX is in DIR afterwards")
    parser.add_argument("--host", metavar="HOST", help="of this machine: its name, or its id")
    _when_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there and differ")
    parser.add_argument("--no-owners", action="store_true", help="do not give files their owners back (root only does)")
    parser.add_argument("--json", action="store_true", help="print one JSON object per path")
    add_options(parser)
    args = parser.parse_args(arguments)
    args.to = os.path.abspath(args.to)
    _run(args, lambda source: _get(source, args))


def _when_options(parser: argparse.ArgumentParser) -> Any:
    """Add the options that say of when, of which no two go together."""
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--at", metavar="TIME", type=moment, help="as it was then: 2026-11-20, or 2026-11-20T14:30")
    shown.add_argument("--deleted", action="store_true", help="what is deleted now, in its last version")
    return shown


def _when_of(args: argparse.Namespace) -> When:
    return When(args.at, args.deleted, getattr(args, "versions", False))


def _run(args: argparse.Namespace, command: Callable[[Source], Coroutine[Any, Any, int]]) -> NoReturn:
    async def with_source() -> int:
        http = server.open(CONNECTIONS)
        try:
            source = Source(http)
            await source.greet(_when_of(args))
            return await command(source)
        finally:
            await http.close()

    try:
        server = connection(args)
        sys.exit(asyncio.run(with_source()))
    except (OSError, ValueError) as error:
        sys.exit(_end(args, error, USAGE))
    except NeedsLogin as error:
        sys.exit(_end(args, error, REFUSED))
    except ServerUnreachable as error:
        sys.exit(_end(args, f"{args.server} does not answer: {error}", NOT_REACHABLE))
    except AssistError as error:
        sys.exit(_end(args, error, FAILED))
    except KeyboardInterrupt:
        sys.exit(_end(args, "stopped; the same command goes on where it was", INTERRUPTED))


def _end(args: argparse.Namespace, what: object, code: int) -> int:
    """Say why nothing more comes, to people and, where it asked for JSON, to a program."""
    if args.json:
        print_problem(str(what), CODES.get(code, "interrupted"), code)
    return _complain(what, code)


def _complain(what: object, code: int) -> int:
    print(f"pp_client: {_harmless(str(what))}", file=sys.stderr)
    return code


async def _list(source: Source, args: argparse.Namespace) -> int:
    line = _version_line if args.versions or args.deleted else _line
    async for entry in source.tree(_prefix(args.prefix), await source.host(args.host), _when_of(args)):
        print(entry.model_dump_json() if args.json else line(entry))
    return OK


def _line(entry: TreeEntry) -> str:
    mode = "----" if entry.mode is None else f"{entry.mode:04o}"
    facts = f"{_LETTERS[entry.kind]}{mode} {entry.file_size:>12} {_when(entry):>16} {_harmless(entry.hostname)}"
    return f"{facts} {_shown(from_json(entry.filepath, entry.filepath_b64))}"


def _version_line(entry: TreeEntry) -> str:
    """Return a line with the moment from which on the path was so: good for `--at`."""
    since, status = _harmless(entry.deleted_at or entry.stored_at or ""), _STATUS.get(entry.status or "", "")
    return f"{since:24} {status:7} {_line(entry)}"


_STATUS = {"active": "now", "superseded": "earlier", "deleted": "deleted"}


def _when(entry: TreeEntry) -> str:
    try:
        return "-" if entry.mtime_ns is None else f"{datetime.fromtimestamp(entry.mtime_ns // 10**9):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):  # no calendar goes that far
        return "?"


async def _get(source: Source, args: argparse.Namespace) -> int:
    prefix = _prefix(args.prefix) or b"/"
    outcomes: Counter[Outcome] = Counter()
    places, refused = await _wanted(source, prefix, await source.host(args.host), _when_of(args))
    if not places and not refused:
        return _complain(f"the server has nothing of yours at {_shown(prefix)}", FAILED)
    folder = Folder(os.fsencode(args.to), args.overwrite, posix.is_root_user() and not args.no_owners)

    def report(done: Sequence[Done]) -> None:
        for each, outcome, why in done:
            outcomes[outcome] += 1
            if args.json:
                said: dict[str, object] = {} if why is None else {"problem": str(why)}
                said |= {"inconsistent": True} if each.inconsistent else {}
                print(json.dumps({**json_fields(each.relative), "kind": each.kind, "status": outcome, **said}))
            elif outcome in (Outcome.DIFFERS, Outcome.FAILED):
                print(f"{outcome.upper():8}{_shown(each.relative)}{f': {why}' if why else ''}", file=sys.stderr)
            elif each.inconsistent:
                print(f"SNAPSHOT {_shown(each.relative)}: was read while it changed", file=sys.stderr)

    try:
        for problem in refused:
            outcomes[Outcome.FAILED] += 1
            _complain(problem, FAILED)
        await restore(source, folder, places, report)
    finally:
        folder.close()
        print(f"pp_client: {_counted(outcomes)}", file=sys.stderr)
    if outcomes[Outcome.FAILED]:
        return FAILED
    return LEFT if outcomes[Outcome.DIFFERS] else OK


def _counted(outcomes: Counter[Outcome]) -> str:
    """Return how many of each there are; how many were restored also where none was."""
    if not outcomes:
        return "nothing done"
    return ", ".join(f"{outcomes[each]} {each}" for each in Outcome if outcomes[each] or each is Outcome.RESTORED)


async def _wanted(source: Source, prefix: bytes, host: dict[str, str], when: When) -> tuple[list[Wanted], list[str]]:
    """Return what is to be restored, and what cannot be because its path leads elsewhere.

    Raises:
        SeveralHosts: several machines have something there.
    """
    places: list[Wanted] = []
    refused: list[str] = []
    taken: set[bytes] = set()
    hosts: dict[str, str] = {}
    async for entry in source.tree(prefix, host, when):
        hosts[entry.host_id] = entry.hostname
        if len(hosts) > 1:
            names = ", ".join(f"{name} ({host_id})" for host_id, name in hosts.items())
            raise SeveralHosts(f"several machines have something there, say which with --host: {names}")
        try:
            place = wanted(entry, prefix)
            if place.relative in taken:  # a file, and one in the folder that had its name
                raise Outside("something else comes to the same place: bring it back by itself")
            taken.add(place.relative)
            places.append(place)
        except Outside as error:
            refused.append(f"{_shown(from_json(entry.filepath, entry.filepath_b64))}: {error}")
    return places, refused


def _prefix(text: str | None) -> bytes | None:
    if text is None:
        return None
    prefix = os.fsencode(text)
    return prefix.rstrip(b"/") or b"/"


def _shown(path: bytes) -> str:
    """Return a path for a terminal, with nothing in it that could steer it."""
    return _harmless(display(path))


def _harmless(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
