"""One file back from the server: what the receipt promised, written beside whatever else is in its place."""

import os
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from pp_assist import posix
from pp_assist.core.errors import AssistError, RootUnhealthy
from pp_assist.core.fetching import Fetch, FetchOutcome, Order, beside
from pp_assist.restore.folder import Done, Folder, NotWritten
from pp_assist.restore.restore import restore
from pp_assist.restore.source import NotOnServer, Source
from pp_assist.restore.threads import in_thread, opened
from pp_assist.restore.wanted import Outcome, Wanted, wanted
from pp_server.wire.names import from_json
from pp_server.wire.restore import TreeEntry

MOST_NAMES = 100
"""So many names are tried beside one that is taken."""


PRIVATE_MODE = 0o600
"""Of a file whose mode nobody knows: it may be a key."""


class NotAFile(AssistError):
    """Something else than a file or link was at this path."""

    reason = "not_a_file"


async def fetch(source: Source, host_id: str, job: Fetch, moved_on: Callable[[], None]) -> None:
    """Bring the file of *job* back, note in it what becomes of it, and say so with each piece by *moved_on*.

    Raises:
        AssistError: it cannot be had, or not be written; what was there is as it was.
    """
    order = job.order
    await source.greet()
    found = await _wanted(source, host_id, order)
    job.sha256, job.size_bytes, job.inconsistent = found.sha256, found.size_bytes, found.inconsistent

    def came(offset: int) -> None:
        job.bytes_done = offset
        moved_on()

    async with opened(None, _open, order) as folder:
        if found.kind == "file" and found.mode is None:
            found = _like(found, await in_thread(None, folder.file_at, order.relative))
        for number in range(MOST_NAMES):
            job.relative = _place(order.relative, number)
            outcome = await _at(source, folder, replace(found, relative=job.relative), came)
            if outcome is not Outcome.DIFFERS:
                job.outcome = _outcome(outcome, number)
                job.bytes_done = found.size_bytes
                job.verified = _compared_with(found, order)
                return
    raise NotWritten(f"{MOST_NAMES} names beside it are taken, too")


def _open(order: Order) -> Folder:
    """Open the folder that is written to. Blocking.

    Raises:
        RootUnhealthy: it is not there, or another one.
    """
    try:
        owners = posix.is_root_user()
        return Folder(order.folder, order.overwrite, owners, order.identity, settles_right=False, durable=True)
    except OSError as error:
        raise RootUnhealthy(f"the folder cannot be opened: {error.strerror}") from error


def _like(found: Wanted, lying: os.stat_result | None) -> Wanted:
    """Return *found*, of which nobody knows whose it was, with the mode and owner of what is *lying* in its place."""
    if lying is None:
        return replace(found, mode=PRIVATE_MODE)
    return replace(found, mode=lying.st_mode & 0o777, uid=lying.st_uid, gid=lying.st_gid)


def _place(relative: bytes, number: int) -> bytes:
    directory, slash, name = relative.rpartition(b"/")
    return directory + slash + (beside(name, number) if number else name)


def _outcome(outcome: Outcome, number: int) -> FetchOutcome:
    if number:
        return FetchOutcome.BESIDE
    return FetchOutcome.RIGHT if outcome is Outcome.RIGHT else FetchOutcome.RESTORED


def _compared_with(found: Wanted, order: Order) -> str | None:
    """Say what the content was compared with, byte by byte: every restore hashes what it writes."""
    if found.sha256 is None:
        return None
    return "receipt" if order.promised is not None and order.promised.sha256 == found.sha256 else "digest"


async def _at(source: Source, folder: Folder, place: Wanted, came: Callable[[int], None]) -> Outcome:
    done: list[Done] = []

    def report(some: Sequence[Done]) -> None:
        done.extend(some)

    await restore(source, folder, [place], report, came, together=False)
    (_, outcome, why) = done[-1]
    if why is not None:
        raise why
    return outcome


async def _wanted(source: Source, host_id: str, order: Order) -> Wanted:
    """Return what is to be made: what is asked for; else what the receipt promised; else what the server has now.

    Raises:
        NotOnServer: there is no such thing.
        NotAFile: it is no file or link.
    """
    live = await _live(source, host_id, order.filepath)
    if live is not None and live.kind == "dir":
        raise NotAFile("this is a folder on the server; pp_client get brings folders back")
    if live is not None and live.kind != "file" and order.version is None:
        return wanted(live, order.filepath)
    promised = order.promised
    sha256 = order.version or (promised and promised.sha256) or (live and live.sha256)
    if not sha256:
        raise NotOnServer("the server has nothing of this path")
    if live is not None and live.sha256 == sha256:
        return wanted(live, order.filepath)
    size_bytes = promised.size_bytes if promised and promised.sha256 == sha256 else await _size(source, sha256)
    older = Wanted(order.relative, "file", size_bytes, sha256, None, None, None, None, None)
    if live is None or live.kind != "file":
        return older
    return replace(older, mode=live.mode, uid=live.uid, gid=live.gid)


async def _live(source: Source, host_id: str, filepath: bytes) -> TreeEntry | None:
    """Return what the server has at this very path now."""
    async with aclosing(source.tree(filepath, {"host_id": host_id})) as entries:
        async for entry in entries:  # the path itself comes before what is below it
            return entry if from_json(entry.filepath, entry.filepath_b64) == filepath else None
    return None


async def _size(source: Source, sha256: str) -> int:
    size_bytes = await source.size(sha256)
    if size_bytes is None:
        raise NotOnServer("the server does not have this version")
    return size_bytes


def target(to: bytes, name: bytes) -> tuple[bytes, bytes]:
    """Return (folder, name in it) for where *to* means: a folder that is there, or a new name in one. Blocking.

    Raises:
        OSError: there is no such folder.
    """
    if not os.path.isdir(to):
        to, name = os.path.split(to)
        os.stat(to + b"/.")
    return to, name
