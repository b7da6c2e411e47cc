"""Bugs that other systems have had, put into our code one at a time: the state machine must find each of them.

Each function replaces what one of our functions does, for the block that `present` opens.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from pp_assist import disk, posix
from pp_assist.core import compare
from pp_assist.scanner import walk
from pp_assist.store import queue, reconciling, versions
from pp_assist.uploader import packing, transfer
from pp_server.core.errors import StorageFailed
from pp_server.core.versions import Plan
from pp_server.metadata import sql_sessions
from pp_server.uploads.complete import Completer
from pp_server.uploads.context import Context
from pp_server.uploads.live import LiveUpload
from pp_server.uploads.receive import Receiver

Patch = Callable[[contextlib.ExitStack], None]


def _put(patches: contextlib.ExitStack, where: Any, name: str, what: Any) -> None:
    patches.enter_context(mock.patch.object(where, name, what))


def mtime_gt_only(patches: contextlib.ExitStack) -> None:
    """A file has changed only if its mtime is later than it was."""
    really = compare._compare_entry

    def compare_entry(changes: Any, row: Any, entry: Any, listing: Any, look: Any) -> None:
        known = row and (row.seen if row.seen is not None else row.stat)
        if entry.kind == "file" and known is not None and entry.stat.mtime_ns <= known.mtime_ns:
            entry = entry._replace(stat=known)
        really(changes, row, entry, listing, look)

    _put(patches, compare, "_compare_entry", compare_entry)


def no_root_guard(patches: contextlib.ExitStack) -> None:
    """Whatever folder stands where the root was is the root."""

    @contextlib.contextmanager
    def opened_root(path: bytes, registered: Any) -> Iterator[int]:
        try:
            fd = posix.open_root(path)
        except OSError as error:
            raise disk.RootUnhealthy("cannot open the folder") from error
        with posix.opened(fd):
            yield fd

    for module in (disk, walk):
        _put(patches, module, "opened_root", opened_root)


def dequeue_then_process(patches: contextlib.ExitStack) -> None:
    """Work is taken out of its queue in one transaction and goes into the next one in another.

    What is lost between is not found again, either: not by a scan, because the stat of the file is written down by
    then, and not when the server is greeted.
    """

    async def to_upload(tx: Any, moves: Any, now_ms: int) -> None:
        await queue.done(tx, [claim for claim, *_ in moves])
        await tx.commit()
        await asyncio.sleep(0.5)  # of a busy machine
        await tx.execute("BEGIN IMMEDIATE")
        sql = f"""
            INSERT OR IGNORE INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms, lane)
            VALUES (?1, ?2, ?3, ?4, ?4, (SELECT {queue.LANE} FROM files WHERE id = ?1))"""
        await tx.executemany(sql, [(claim.file_id, "upload", gen, now_ms) for claim, _, gen in moves])

    _put(patches, queue, "to_upload", to_upload)

    _put(patches, compare, "_work_is_lost", lambda row: False)
    _put(patches, versions, "_SEND_AGAIN", "SELECT ?")


def dup_chunk_counts(patches: contextlib.ExitStack) -> None:
    """Chunks that arrived are counted, repeated ones as well; an upload is complete when the count is right."""
    really = Receiver._repeat

    async def repeat(self: Receiver, upload: LiveUpload, number: int, length: int, digest: Any) -> Any:
        answer = await really(self, upload, number, length, digest)
        upload.mark(number)
        return answer

    def mark(self: LiveUpload, number: int) -> None:
        self.count += 1
        self.received[number] = 1

    def missing(self: LiveUpload) -> list[tuple[int, int]]:
        if self.session.content_known or self.session.status != "open":
            return []
        return [] if self.count == len(self.received) else [(0, len(self.received) - 1)]

    _put(patches, Receiver, "_repeat", repeat)
    _put(patches, LiveUpload, "mark", mark)
    _put(patches, LiveUpload, "missing", property(missing))


def no_verify(patches: contextlib.ExitStack) -> None:
    """What is sent is not compared with what was hashed, neither here nor there."""

    async def check_content(self: Completer, upload: LiveUpload, digest: Any) -> None:
        if upload.session.size_bytes == 0:
            await self._context.blocking(upload.file.ensure)

    for module in (transfer, packing):
        _put(patches, module, "open_unchanged", _open_anyhow)
        _put(patches, module, "read_unchanged", _read_anyhow)
    _put(patches, Completer, "_check_content", check_content)


def _open_anyhow(directories: disk.Directories, claim: Any, hashed: Any) -> int:
    try:
        return directories.open_file(claim.location)
    except FileNotFoundError as error:
        raise transfer.FileChanged("gone") from error


def _read_anyhow(fd: int, hashed: Any, offset: int, length: int) -> bytes:
    return posix.pread(fd, length, offset).ljust(length, b"\0")


def cleanup_before_metadata(patches: contextlib.ExitStack) -> None:
    """Chunks are removed before it is recorded what became of them; where they are missing, that is an error."""
    really, really_check = Completer._record, Completer._check_content

    async def record(self: Completer, upload: LiveUpload, digest: Any, location: Any) -> Any:
        await self._context.blocking(upload.file.discard)
        return await really(self, upload, digest, location)

    async def check_content(self: Completer, upload: LiveUpload, digest: Any) -> None:
        session = upload.session
        if session.size_bytes and not self._context.staging.is_there(session.upload_id):
            raise StorageFailed("a chunk is missing")
        await really_check(self, upload, digest)

    async def verify_chunks(self: Context, upload: LiveUpload, chunks: Any) -> list[int]:
        return []

    _put(patches, Completer, "_record", record)
    _put(patches, Completer, "_check_content", check_content)
    _put(patches, Context, "verify_chunks", verify_chunks)


def drop_after_retries(patches: contextlib.ExitStack) -> None:
    """What failed twice is forgotten: a scan will find it again, if it is still there."""

    def forgetting(really: Any) -> Any:
        async def failed(tx: Any, claims: Any, *args: Any) -> None:
            await really(tx, claims, *args)
            for claim in claims if isinstance(claims, list) else [claims]:
                if claim.stage == "upload":
                    await tx.execute("UPDATE work SET attempts = attempts + 1 WHERE file_id = ?", (claim.file_id,))
                    if claim.attempts >= 1:
                        await tx.execute("DELETE FROM files WHERE id = ?", (claim.file_id,))

        return failed

    for name in ("retry", "later", "later_all"):
        _put(patches, queue, name, forgetting(getattr(queue, name)))


def no_gen(patches: contextlib.ExitStack) -> None:
    """The server takes whatever arrives last for the newest, however old it is."""

    def older(really: Any) -> Any:
        def apply(self: Plan, order: Any) -> Any:
            known = self._heads.get(order.path)
            if known is not None and order.gen is not None and known.gen > order.gen:
                order = order._replace(gen=known.gen + 1)
            return really(self, order)

        return apply

    for name in ("_put", "_delete"):
        _put(patches, Plan, name, older(getattr(Plan, name)))
    _put(patches, sql_sessions, "_refuse_stale", lambda conn, host, request: None)


def no_reconcile(patches: contextlib.ExitStack) -> None:
    """What the server has is never compared with what is known here."""

    async def all_roots(db: Any, server: int, server_id: str) -> set[int]:
        return {row[0] for row in await db.rows("SELECT id FROM roots")}

    _put(patches, reconciling, "reconciled", all_roots)


BUGS: dict[str, Patch] = {
    bug.__name__: bug
    for bug in (
        mtime_gt_only,
        no_root_guard,
        dequeue_then_process,
        dup_chunk_counts,
        no_verify,
        cleanup_before_metadata,
        drop_after_retries,
        no_gen,
        no_reconcile,
    )
}


@contextlib.contextmanager
def present(name: str | None) -> Iterator[None]:
    """Have the bug of that name in our code for the block; None: no bug."""
    with contextlib.ExitStack() as patches:
        if name is not None:
            BUGS[name](patches)
        yield
