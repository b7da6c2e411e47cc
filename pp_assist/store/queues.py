"""All queues; and the small lane, to which what was just read is handed on with its content, and no row says so.

To the rows, nothing has happened to such a file yet: it waits to be hashed, and its claim is held for that. Whoever
gives the claim back, or dies with it, only has the file read once more.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from operator import attrgetter

from pp_assist.clock import Clock
from pp_assist.core.model import Claim, Lane, Stage
from pp_assist.core.portions import portions
from pp_assist.store.db import Database
from pp_assist.store.queue import WorkQueue

MOST_FILES = 2000
MOST_BYTES = 8 << 20
"""What waits to be sent in memory, about: enough for the next two batches."""

BATCH_BYTES = 4 << 20
PATIENCE_S = 2.0
"""For anything to be taken. Then the hasher goes on with other files, and what it has read is put in line."""


class SmallLane(WorkQueue):
    """Rows of small files that wait to be sent, and files that were handed on."""

    def __init__(self, db: Database, clock: Clock, hashing: WorkQueue) -> None:
        super().__init__(db, Stage.UPLOAD, clock, Lane.SMALL)
        self._hashing = hashing
        self._is_open = False
        self._handed_next = False
        self._handed: deque[Claim] = deque()
        self._handed_bytes = 0
        self._likely = MOST_FILES
        """So many rows at most are worth looking at: more did not fit into the last batch by far."""
        self._taken = asyncio.Event()

    def open(self) -> None:
        """Let files be handed on: somebody is there who sends them at once."""
        self._is_open = True

    def close(self) -> list[Claim]:
        """Let no more be handed on; return what was, and nobody has taken: it is to be put in line, and released."""
        self._is_open = False
        return self._pop(len(self._handed), self._handed_bytes)

    def start_over(self) -> None:
        """Give everything back, also what was handed on and taken: those who held it are gone."""
        self.close()
        self._hashing.take_back()
        super().start_over()

    async def hand_on(self, claims: list[Claim]) -> bool:
        """Take over *claims* of the hasher, with what it has read; False: put them in line, nobody sends them soon."""
        while self._is_open and (len(self._handed) >= MOST_FILES or self._handed_bytes >= MOST_BYTES):
            self._taken.clear()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._taken.wait()
            except TimeoutError:
                return False
        if self._is_open:
            self._hashing.lend(claims)
            self._handed += claims
            self._handed_bytes += sum(map(_size, claims))
            self._claimed.update(claim.file_id for claim in claims)
            self.wake()
        return self._is_open

    async def claim(self, now_ms: int, limit: int) -> list[Claim]:
        """Take rows that are eligible, or what was handed on, as much as one batch takes: by turns, where both wait."""
        self._handed_next = not self._handed_next
        if self._handed_next and self._handed:
            return self._pop(limit, BATCH_BYTES)
        return await self._rows(now_ms, limit) or self._pop(limit, BATCH_BYTES)

    async def _rows(self, now_ms: int, limit: int) -> list[Claim]:
        """Take rows, as many as one batch takes; what does not fit begins the next one."""
        claims = await super().claim(now_ms, min(limit, self._likely))
        fit = next(portions(claims, attrgetter("content_bytes"), BATCH_BYTES), claims)
        self._claimed.difference_update(claim.file_id for claim in claims[len(fit) :])
        self._likely = 2 * len(fit) if len(fit) < len(claims) else MOST_FILES
        return fit

    def _pop(self, limit: int, most_bytes: int) -> list[Claim]:
        taken: list[Claim] = []
        total = 0
        while self._handed and len(taken) < limit and (not taken or total + _size(self._handed[0]) <= most_bytes):
            taken.append(self._handed.popleft())
            total += _size(taken[-1])
        self._handed_bytes -= total
        self._taken.set()
        return taken

    def release(self, claims: Iterable[Claim]) -> None:
        """Give claims back, those that were handed on to the hasher."""
        claims = list(claims)
        self._hashing.release([claim for claim in claims if claim.stage is Stage.CHECKSUM])
        super().release(claims)


class Queues:
    """All of them."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self.checksum = WorkQueue(db, Stage.CHECKSUM, clock)
        self.huge_checksum = WorkQueue(db, Stage.CHECKSUM, clock, Lane.HUGE)
        self.small = SmallLane(db, clock, self.checksum)
        large, huge = (WorkQueue(db, Stage.UPLOAD, clock, lane) for lane in (Lane.LARGE, Lane.HUGE))
        self.uploads: dict[Lane, WorkQueue] = {Lane.SMALL: self.small, Lane.LARGE: large, Lane.HUGE: huge}
        self.vanished = WorkQueue(db, Stage.VANISHED, clock)
        self.deletion = WorkQueue(db, Stage.DELETION, clock)
        self.moved = asyncio.Event()
        """A directory was moved: see `tree_moves`."""

    def __iter__(self) -> Iterator[WorkQueue]:
        yield from (self.checksum, self.huge_checksum, *self.uploads.values(), self.vanished, self.deletion)

    def wake_checksums(self) -> None:
        """Let the hasher look, in both its lanes."""
        self.checksum.wake()
        self.huge_checksum.wake()

    def wake_uploads(self) -> None:
        """Let all lanes look."""
        for queue in self.uploads.values():
            queue.wake()

    def is_uploading(self, claim: Claim) -> bool:
        """Say whether the file of *claim* (a claim of another stage, as a rule) is being sent."""
        return any(queue.holds(claim.file_id) for queue in self.uploads.values())

    def is_at_work(self, file_id: int) -> bool:
        """Say whether somebody works on that file at this moment."""
        return any(queue.holds(file_id) for queue in self)

    @property
    def at_work(self) -> set[int]:
        """The files that somebody works on at this moment."""
        return {file_id for queue in self for file_id in queue.claimed}

    def withdraw(self, file_ids: Collection[int]) -> None:
        """Ask whoever works on these files to leave them as they are: see `WorkQueue.withdraw`."""
        for queue in self:
            queue.withdraw(file_ids)

    def is_withdrawn(self, claim: Claim) -> bool:
        """Say whether an upload of *claim* that is under way is not wanted any more."""
        return any(queue.is_withdrawn(claim) for queue in self.uploads.values())

    def wake(self) -> None:
        """Let everybody look."""
        for queue in self:
            queue.wake()


def _size(claim: Claim) -> int:
    return len(claim.content or b"")
