"""The command `pp_client`: give some files to a server once, without a daemon. Same hashing, same transfer, no memory.

Nothing is remembered between runs: the server is asked each time, so what it already has is not sent again, and an
upload that was cut short goes on where it was.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NoReturn

from pp_assist import posix, verify_receipt
from pp_assist.checksum.hashing import hash_file
from pp_assist.cli import Version
from pp_assist.client_connection import Connection, add_options, connection
from pp_assist.core.errors import AssistError, NeedsLogin, ServerUnreachable, Untrusted
from pp_assist.core.model import Claim, Folder, Hashed, Kind, Location, Root, Stage
from pp_assist.core.rules import Rules
from pp_assist.disk import look, resolve
from pp_assist.restore.command import get, ls
from pp_assist.scanner.walk import walk
from pp_assist.uploader.client import UploadClient
from pp_assist.uploader.transfer import Transfer
from pp_assist.uploader.under_way import UnderWay
from pp_assist.uploader.way import Host, Way
from pp_server.wire.chunks import MIB
from pp_server.wire.names import display, json_fields

OK, FAILED, USAGE, NOT_REACHABLE, REFUSED = range(5)
CHUNKS_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of one file."""

    filepath: bytes
    sha256: str | None
    bytes_sent: int
    problem: str | None

    def fields(self) -> dict[str, object]:
        """Return it as JSON fields."""
        status = "stored" if self.problem is None else "failed"
        return {**json_fields(self.filepath), "status": status, "sha256": self.sha256} | (
            {"bytes_sent": self.bytes_sent} if self.problem is None else {"problem": self.problem}
        )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Push what the command line names and exit: 0 all stored, 1 some not, 2 usage, 3 not reachable, 4 key refused."""
    arguments = sys.argv[1:] if arguments is None else arguments
    command = {"verify-receipt": verify_receipt.main, "ls": ls, "get": get}.get(arguments[0] if arguments else "")
    if command is not None:  # a file of such a name is ./ls
        command(arguments[1:])
    parser = argparse.ArgumentParser(prog="pp_client", description="Give files to a pp_server once, without a daemon.")
    parser.add_argument("--version", action=Version, prog="pp_client")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, or a folder with everything below it")
    parser.add_argument("--hostname", default=socket.gethostname(), help="name of this machine for the server")
    parser.add_argument("--json", action="store_true", help="print one JSON object per file")
    add_options(parser)
    args = parser.parse_args(arguments)
    try:
        server = connection(args)
        claims = [claim for path in args.paths for claim in _found(os.fsencode(path))]
    except (OSError, ValueError) as error:
        print(f"pp_client: {error}", file=sys.stderr)
        sys.exit(USAGE)
    try:
        sys.exit(asyncio.run(_push_all(server, args.hostname, claims, args.json)))
    except KeyboardInterrupt:
        print("pp_client: stopped; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)


def _found(path: bytes) -> Iterator[Claim]:
    """Yield every regular file at or below *path*, as work to do."""
    shown = os.path.abspath(path)
    if os.path.isdir(shown) and not os.path.islink(shown):
        folder, only = shown, None
    else:
        folder, only = os.path.split(shown)
    resolved, (device, inode, _) = resolve(folder)
    if only is not None:
        yield _claim(Location(Folder(0, resolved, device, inode, b"", folder), only))
        return
    root = Root(0, resolved, folder, True, True, device, inode, 0, None, "healthy", None)
    rules = Rules(frozenset(), device, len(folder))
    for batch in walk(root, rules):
        for listing in batch.listings:
            if listing.problem:
                print(f"pp_client: {display(listing.directory)}: {listing.problem}", file=sys.stderr)
            judge = rules.judge(listing)
            where = Folder(0, resolved, device, inode, listing.directory, folder)
            for entry in listing.entries:
                if entry.kind is Kind.FILE and not rules.excluded(entry, judge):
                    yield _claim(Location(where, entry.name))


def _claim(location: Location) -> Claim:
    return Claim(0, 0, Stage.UPLOAD, 0, 0, location, None, None, None, None)


async def _push_all(server: Connection, hostname: str, claims: list[Claim], as_json: bool) -> int:
    http = server.open(CHUNKS_AT_A_TIME)
    client = UploadClient(http)
    threads = ThreadPoolExecutor(CHUNKS_AT_A_TIME, "push")
    way = Way(client, Host(hostname, hostname))  # without a state directory, a host is its name
    slots = asyncio.Semaphore(CHUNKS_AT_A_TIME)
    transfer = Transfer(threads, slots, CHUNKS_AT_A_TIME, 4 * MIB, lambda _: None, UnderWay())
    failed = 0
    try:
        gen = await client.highest_gen(hostname)
        for number, claim in enumerate(claims, start=gen + 1):
            pushed = await _push(transfer, way, claim, number)
            failed += pushed.problem is not None
            print(json.dumps(pushed.fields(), ensure_ascii=False) if as_json else _line(pushed))
    except NeedsLogin as error:
        print(f"pp_client: {error}", file=sys.stderr)
        return REFUSED
    except Untrusted as error:
        print(f"pp_client: {server.url}: {error}", file=sys.stderr)
        return NOT_REACHABLE
    except ServerUnreachable as error:
        print(f"pp_client: {server.url} does not answer: {error}", file=sys.stderr)
        return NOT_REACHABLE
    except AssistError as error:
        print(f"pp_client: {error}", file=sys.stderr)
        return FAILED
    finally:
        await client.close()
        threads.shutdown()
    return FAILED if failed else OK


async def _push(transfer: Transfer, way: Way, claim: Claim, gen: int) -> Pushed:
    """Hash and send one file.

    Raises:
        ServerUnreachable, NeedsLogin: there is no point in going on with others.
    """
    loop = asyncio.get_running_loop()
    filepath = claim.location.filepath
    try:
        hashed = await loop.run_in_executor(transfer.threads, _hash, claim.location)
        ready = Claim(0, gen, Stage.UPLOAD, 0, 0, claim.location, None, None, hashed, None)
        confirmed = await transfer.run(way, ready)
    except (ServerUnreachable, NeedsLogin):
        raise
    except AssistError as error:
        return Pushed(filepath, None, 0, f"{error.reason}: {error}")
    return Pushed(filepath, hashed.sha256, confirmed.sent, None)


def _hash(location: Location) -> Hashed:
    seen = look(location)
    if seen is None or seen.kind is not Kind.FILE:
        raise AssistError("there is no such file" if seen is None else f"it is a {seen.kind}, not a file")
    return hash_file(location, seen.stat)[0]


def _line(pushed: Pushed) -> str:
    name = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in display(pushed.filepath))
    return f"stored  {name}" if pushed.problem is None else f"FAILED  {name}: {pushed.problem}"


if __name__ == "__main__":
    posix.restrict_umask()
    main()
