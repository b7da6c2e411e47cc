"""The polling of PDFs that `SftpService` offers: a drop folder that is moved aside and announced, and not fetched."""

import hashlib
import logging
import os
import posixpath
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import Any

from pp_assist import posix
from pp_assist.sftp.announcing import Announce, Payload, Poster
from pp_assist.sftp.connecting import told_apart
from pp_assist.sftp.dropfolder import DropFolder
from pp_assist.sftp.ledger import Ledger
from pp_assist.sftp.outbox import Outbox
from pp_assist.sftp.plan import Plan
from pp_assist.sftp.polling import Seen
from pp_assist.sftp.project import Project
from pp_assist.sftp.wholeness import EDGE_BYTES, why_not_whole

log = logging.getLogger(__name__)

PATTERNS = ("*.pdf",)


def poll_once(
    client: Any,
    ledger_file: str,
    project: Project,
    source: str,
    in_progress: str,
    told: Announce,
    rest_s: float,
    build: Payload,
    poster: Poster,
) -> None:
    """Do one pass: look twice, move what is complete, announce it, and whatever an earlier pass could not announce.

    Where somebody else is polling the same folder just now, nothing is done: a file would be told of twice.
    """
    name = f"{project.username}@{project.host}:{project.port}/{source}"
    plan = Plan(name, source.encode(), False, PATTERNS, int(rest_s * 1000), "move", in_progress.encode(), told)
    with _alone(ledger_file, name) as is_alone:
        if not is_alone:
            log.info("%s is being polled already", name)
            return
        _pass(client, plan, ledger_file, rest_s, build, poster)


def _pass(client: Any, plan: Plan, ledger_file: str, rest_s: float, build: Payload, poster: Poster) -> None:
    with closing(Ledger(ledger_file)) as ledger:
        folder = DropFolder(plan, ledger, None, _mono_ms, build=build)
        outbox = Outbox(ledger)
        folder.advance(lambda: nullcontext(client))
        folder.look(client)
        if folder.observed:
            time.sleep(rest_s + 0.001)
            folder.look(client, lambda each, seen: _why_not_whole(client, posixpath.join(plan.folder, each), seen))
            folder.advance(lambda: nullcontext(client))
        folder.announce(everything=True)
        outbox.deliver(poster.post, plan.source)


@contextmanager
def _alone(ledger_file: str, name: str) -> Iterator[bool]:
    """Yield whether nobody else, in whatever process, is in this block for the same folder."""
    os.makedirs(os.path.dirname(os.path.abspath(ledger_file)), mode=0o700, exist_ok=True)
    fd = posix.lock_file(f"{ledger_file}.{hashlib.sha256(name.encode()).hexdigest()[:12]}.lock")
    try:
        yield fd is not None
    finally:
        if fd is not None:
            os.close(fd)


def _why_not_whole(client: Any, remote: bytes, seen: Seen) -> str | None:
    with told_apart(), client.open(remote, "r") as file:
        head = file.read(EDGE_BYTES)
        file.seek(max(0, seen.size_bytes - EDGE_BYTES))
        return why_not_whole(remote, seen.size_bytes, head, file.read(EDGE_BYTES))


def _mono_ms() -> int:
    return time.monotonic_ns() // 1_000_000
