"""`pp_assist verify`: is what is here what the receipt says, and what the server has on its disk just now?"""

import argparse
import hashlib
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from pp_assist.cli_asking import FAILED, NOT_REACHABLE, OK, PENDING, REFUSED, USAGE, CommandError, ask, printable, show
from pp_assist.progress import amount, progress

SAMPLE = 100
PAGE = 1000
STORED = ("completed", "unchanged")
AT_ONCE_FILES = 100
AT_ONCE_BYTES = 256 << 20
BLOCK_BYTES = 1 << 20
OF_SERVER = {
    "server_unreachable": NOT_REACHABLE,
    "server_untrusted": NOT_REACHABLE,
    "server_unavailable": NOT_REACHABLE,
}
OF_SERVER |= {"needs_login": REFUSED, "not_allowed": REFUSED}


def add_commands(commands: Any, command: Any) -> None:
    """Add it to the parser."""
    verify = command("verify", _verify, "check files here, their receipts, and what the server reads from its disk now")
    verify.add_argument("path", nargs="?", help="only this file, or what lies below this folder")
    many = verify.add_mutually_exclusive_group()
    many.add_argument("--sample", type=int, metavar="N", help=f"so many files, chosen at random (default: {SAMPLE})")
    many.add_argument("--all", action="store_true", help="every file that is stored")


class Local(NamedTuple):
    """What is here."""

    sha256: str
    proof: str
    """SHA-256 of a number and the content: only who has read the content now can know it."""
    as_noted: bool
    """Size and time are as they were when it was stored."""


def judge(local: Local | None, noted: str, receipt: str | None, server: Any) -> tuple[str, str] | None:
    """Return what is wrong with a file, as a word and a text; None where nothing is. `pending`: it may be right.

    *noted* is its digest as it was stored, *receipt* the one its receipt proves (None: receipts are not signed),
    *server* what the server says.
    """
    if server["status"] == "damaged":
        return "server_damaged", "the server's copy is damaged; the file is offered again"
    if server["status"] == "not_found":
        return "server_lost", "the server does not have it any more; the file is offered again"
    if receipt is not None and receipt != noted:
        return "receipt_differs", "its receipt is for another content"
    if local is None:
        return "pending", "it is not there, or cannot be read"
    if local.sha256 != noted:
        if local.as_noted:
            return "local_differs", "what is here is not what was stored, though its size and time are the same"
        return "pending", "it has changed since it was stored"
    if server["proof"] != local.proof:
        return "server_differs", "the server says that it has it, and cannot prove it"
    return None


def _verify(args: argparse.Namespace) -> int:
    if args.sample is not None and args.sample < 1:
        raise CommandError("--sample must be at least 1", USAGE)
    stored = sum(_total(args, status) for status in STORED)
    wanted = stored if args.all else min(stored, args.sample or SAMPLE)
    nonce, verified, read_bytes, offered = secrets.token_hex(16), 0, 0, 0
    wrong: list[dict[str, Any]] = []
    with progress(quiet=args.json) as shown:
        for part in _parts(_chosen(args, stored, wanted)):
            shown(verified + len(wrong), wanted, f"{len(wrong)} not as they should be" if wrong else "")
            answer = _asked(args, part, nonce)
            offered += answer["offered_again"]
            by_digest = {result["sha256"]: result for result in answer["results"]}
            for file in part:
                found = _found(args, file, nonce, by_digest[file["sha256"]])
                if found is None:
                    verified, read_bytes = verified + 1, read_bytes + file["file_size"]
                else:
                    name = {key: file[key] for key in ("filepath", "filepath_b64") if key in file}
                    wrong.append({**name, "code": found[0], "detail": found[1]})
    told: dict[str, Any] = {
        "stored": stored,
        "checked": verified + len(wrong),
        "verified": verified,
        "bytes": read_bytes,
    }
    told |= {"problems": wrong, "offered_again": offered}
    show(args, told, lambda: _lines(told))
    if any(each["code"] != "pending" for each in wrong):
        return FAILED
    return PENDING if wrong else OK


def _lines(told: Any) -> list[str]:
    lines = [f"{each['code'].upper():16} {printable(each['filepath'])}: {each['detail']}" for each in told["problems"]]
    counts = f"{told['verified']:,} of {told['checked']:,} files verified ({amount(told['bytes'])})"
    if told["checked"] < told["stored"]:
        counts += f", of {told['stored']:,} that are stored"
    if told["verified"]:
        counts += ": the same here, in the receipt, and read anew on the server"
    codes = Counter(each["code"] for each in told["problems"])
    more = ["; ".join(f"{count} {code}" for code, count in sorted(codes.items()))] if codes else []
    return [*lines, counts, *more, *([f"{told['offered_again']} offered again"] if told["offered_again"] else [])]


# -- which files


def _query(args: argparse.Namespace, status: str, limit: int, offset: int) -> Any:
    from pp_server.wire.names import to_query

    below = ""
    if args.path:
        below = f"&path_prefix={to_query(os.path.abspath(os.fsencode(os.path.expanduser(args.path))))}"
    return ask(args, "GET", f"/files?status={status}&limit={limit}&offset={offset}{below}")


def _total(args: argparse.Namespace, status: str) -> int:
    return int(_query(args, status, 1, 0)["total"])


def _chosen(args: argparse.Namespace, stored: int, wanted: int) -> Iterator[Any]:
    """Yield *wanted* of the stored files, each as likely as any other."""
    places = sorted(random.sample(range(stored), wanted)) if wanted < stored else range(stored)
    page: list[Any] = []
    first, page_from = _total(args, STORED[0]), 0
    limit = PAGE if stored <= wanted * 200 else 1  # a page costs more than a row, and less than 200
    for place in places:
        status, offset = (STORED[0], place) if place < first else (STORED[1], place - first)
        if not page_from <= place < page_from + len(page):
            page_from, page = place, _query(args, status, limit, offset)["files"]
            page = page[: first - place] if place < first else page
        if place - page_from < len(page):  # else some have changed since they were counted
            yield page[place - page_from]


def _parts(files: Iterator[Any]) -> Iterator[list[Any]]:
    """Yield files in parts that are asked for at once."""
    part: list[Any] = []
    total = 0
    for file in files:
        if part and (len(part) == AT_ONCE_FILES or total + file["file_size"] > AT_ONCE_BYTES):
            yield part
            part, total = [], 0
        part.append(file)
        total += file["file_size"]
    if part:
        yield part


# -- one file


def _asked(args: argparse.Namespace, part: list[Any], nonce: str) -> Any:
    """Return what the server says of a part, once it is willing."""
    digests = list(dict.fromkeys(file["sha256"] for file in part))
    size_bytes = sum(file["file_size"] for file in part)
    while True:
        try:
            wanted = {"sha256": digests, "nonce": nonce}
            answer = ask(args, "POST", "/verify", wanted, timeout_s=120 + size_bytes / 10_000_000)
        except CommandError as error:
            raise CommandError(str(error), OF_SERVER.get(error.code, error.exit_code), error.code) from error
        if answer["retry_after_seconds"] is None:
            return answer
        time.sleep(max(1.0, answer["retry_after_seconds"]))


def _found(args: argparse.Namespace, file: Any, nonce: str, server: Any) -> tuple[str, str] | None:
    from pp_server.wire.names import from_json, to_query

    path = from_json(file["filepath"], file.get("filepath_b64"))
    receipt = None
    try:
        receipt = str(ask(args, "GET", f"/receipt?path={to_query(path)}")["sha256"])
    except CommandError as error:
        if error.code == "receipt_not_proven":
            return error.code, str(error)
        if error.code != "no_receipt":  # it may have changed just now; and not every server signs
            raise
    return judge(_read(path, file, bytes.fromhex(nonce)), file["sha256"], receipt, server)


def _read(path: bytes, file: Any, nonce: bytes) -> Local | None:
    """Read what is here; None where nothing is that can be read."""
    from pp_assist import posix
    from pp_server.wire.times import iso

    plain, proof = hashlib.sha256(), hashlib.sha256(nonce)
    try:
        with posix.opened(os.open(path, posix.OPEN_FILE)) as fd:
            seen = os.fstat(fd)
            if posix.file_type(seen.st_mode) != "file":
                return None
            while block := os.read(fd, BLOCK_BYTES):
                plain.update(block)
                proof.update(block)
            is_same = os.fstat(fd).st_ctime_ns == seen.st_ctime_ns
    except OSError:
        return None
    noted = (file["file_size"], file["mtime"])
    as_noted = is_same and (seen.st_size, iso(seen.st_mtime_ns // 1_000_000)) == noted
    return Local(plain.hexdigest(), proof.hexdigest(), as_noted)
