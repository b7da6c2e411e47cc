"""From recorded versions to receipts: first into the log, durably, then signed for whoever asked."""

import asyncio
import base64
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from pp_server.core.errors import StartRefused
from pp_server.core.recorded import Recorded
from pp_server.metadata.base import MetadataStore
from pp_server.receipts.log import ReceiptsLog
from pp_server.receipts.signer import Signer
from pp_server.waiting import finish
from pp_server.wire.merkle import Tree
from pp_server.wire.receipts import Receipt, ReceiptKey, Signed, tree_of

T = TypeVar("T")

_AT_A_TIME = 1000
_MANY = 1000


class Issuer:
    """Gives receipts. What is recorded and not in the log is remembered until it is."""

    def __init__(self, signer: Signer, log: ReceiptsLog, metadata: MetadataStore, executor: Executor) -> None:
        self._signer = signer
        self._log = log
        self._metadata = metadata
        self._executor = executor
        self._lock = threading.Lock()
        self._pending: dict[int, Recorded] = {}
        """Recorded and not logged yet, by sequence."""
        self._failed: set[int] = set()
        """Those of them that nobody is logging at this moment."""
        self._through = 0
        """Every version up to this sequence is in the log."""
        self._beyond: set[int] = set()

    @property
    def key(self) -> ReceiptKey:
        """Whose signatures these are."""
        return self._signer.public

    async def catch_up(self) -> int:
        """Before anybody is served: log what was recorded and perhaps not logged. Return how many versions.

        Raises:
            StartRefused: the log is further than the records. Going on would give the same sequences twice.
        """
        logged, recorded = await self._run(self._log.highest), await self._metadata.last_sequence()
        if logged > recorded:
            raise StartRefused(
                f"The database ends at version {recorded}, the receipts log at {logged}: it was put back from a copy."
                " Have it made again, with everything since, with: pp_server rebuild --force"
            )
        self._through, caught = await self._metadata.receipts_logged(), 0
        while entries := await self._metadata.recorded_after(self._through, _AT_A_TIME):
            await self._run(self._log.append, entries, self._signer)
            self._through = entries[-1].sequence
            await self._metadata.note_logged(self._through)
            caught += len(entries)
        return caught

    async def log(self, new: Sequence[Recorded], asked: Collection[int] = ()) -> None:
        """Return once these versions are in the log, with those that could not be logged before.

        *asked*: sequences of versions that were recorded before and are about to be acknowledged again.

        Raises:
            StorageFull, StorageFailed, SyncFailed: they are recorded, but not in the log: acknowledge nothing.
        """
        with self._lock:
            self._pending |= {entry.sequence: entry for entry in new}
        await self._find_overlooked(asked)
        with self._lock:
            wanted = self._failed.union(entry.sequence for entry in new)
            wanted |= self._pending.keys() & set(asked)
            entries = [self._pending[sequence] for sequence in sorted(wanted)]
        if entries:
            await finish(self._run(self._append, entries))
            await self._metadata.note_logged(self._through)

    async def log_run(self, first: int, last: int) -> None:
        """Return once all versions from *first* to *last* are in the log. They are read back from the records, page by
        page: there may be more than memory should hold."""
        after = max(first - 1, self._through)
        while after < last:
            page = await self._metadata.recorded_after(after, min(_AT_A_TIME, last - after))
            after = page[-1].sequence
            with self._lock:
                new = [entry for entry in page if entry.sequence not in self._beyond]
            await self.log(new)

    async def issue(self, receipt: Receipt, new: Sequence[Recorded]) -> Receipt:
        """Log what is new, and return a receipt with its proof, signed by itself."""
        await self.log(new, (receipt.sequence,))
        return await self._run(self._prove, receipt)

    def sign(self, tree: Tree, paths: bool = True) -> Signed:
        """Return a tree of receipts with our signature. What it names is logged."""
        signature = base64.b64encode(self._signer.sign(tree.root)).decode("ascii")
        return Signed(tree, self.key.key_id, signature, paths)

    def _prove(self, receipt: Receipt) -> Receipt:
        return receipt.model_copy(update={"proof": self.sign(tree_of([receipt])).proof(0)})

    async def _find_overlooked(self, asked: Collection[int]) -> None:
        """Remember recorded versions that nobody brought here: their commit was reported as failed and had happened, or
        whoever recorded them failed on the way. They are looked for where one is asked for, or holds up many others."""
        with self._lock:
            overlooked = {sequence for sequence in asked if self._is_overlooked(sequence)}
            if len(self._beyond) > _MANY and self._is_overlooked(self._through + 1):
                overlooked.add(self._through + 1)
            after = self._through
        last = max(overlooked, default=0)
        while after < last and (found := await self._metadata.recorded_after(after, _AT_A_TIME)):
            after = found[-1].sequence
            with self._lock:
                more = {e.sequence: e for e in found if self._is_overlooked(e.sequence)}
                self._pending |= more
                self._failed |= more.keys()

    def _is_overlooked(self, sequence: int) -> bool:
        """Say whether a version is neither in the log nor on its way there. The caller holds the lock."""
        return sequence > self._through and sequence not in self._beyond and sequence not in self._pending

    def _append(self, entries: Sequence[Recorded]) -> None:
        sequences = {entry.sequence for entry in entries}
        try:
            for start in range(0, len(entries), _AT_A_TIME):
                self._log.append(entries[start : start + _AT_A_TIME], self._signer)
        except BaseException:
            with self._lock:
                self._failed |= sequences & self._pending.keys()
            raise
        with self._lock:
            self._failed -= sequences
            for sequence in sequences:
                self._pending.pop(sequence, None)
            self._beyond |= {sequence for sequence in sequences if sequence > self._through}
            while self._through + 1 in self._beyond:
                self._through += 1
                self._beyond.discard(self._through)

    async def _run(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *args)
