"""How much there is of what: counted when somebody asks, from the rows themselves.

Nothing is written for it with each row. Counting a million files takes a tenth of a second, so it is not done again
while nothing was written, nor for twenty times as long as it took: who asks all the time costs a twentieth of a core.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pp_assist.core.model import TRACKED, FileState, Stage, WorkState
from pp_assist.store.db import Database

REST = 20
"""As many times as long as it took, an answer is good enough."""

LITTLE_S = 0.02
"""Counting that takes no longer is done anew whenever something was written."""

COUNT = """
SELECT 'files', state, '', COUNT(*), NULL FROM files
WHERE kind = 'file' OR state = 'excluded' OR state = 'unsupported' GROUP BY state
UNION ALL SELECT 'work', stage, state, COUNT(*), MIN(queued_at_ms) FROM work GROUP BY stage, state
UNION ALL SELECT 'work', 'upload', 'waiting', COUNT(*), NULL FROM tree_moves
UNION ALL SELECT 'held', '', '', COUNT(*), NULL FROM work w JOIN files f ON f.id = w.file_id
WHERE w.stage = 'deletion' AND w.state = 'held' AND f.kind = 'file'"""
"""One statement, so one moment. What counts is files; and whatever is left out, because that has no kind that would
matter. A directory that was moved counts as one upload that waits."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files are in each state, and how much work in each stage and state."""

    files: dict[FileState, int]
    work: dict[tuple[Stage, WorkState], int]
    oldest_ms: dict[Stage, int | None]
    """When the oldest row of each stage was queued."""
    held_deletions: int = 0
    """Files whose deletion waits for a person; folders and links that wait with them are rows of work, too."""

    @property
    def tracked(self) -> int:
        """All files that must be stored."""
        return sum(self.files[state] for state in TRACKED)

    def queued(self, *stages: Stage) -> int:
        """Return all rows of *stages*, whatever they wait for."""
        return sum(count for (stage, _), count in self.work.items() if stage in stages)

    def in_state(self, state: WorkState, *stages: Stage) -> int:
        """Return the rows of *stages* that are in *state*."""
        return sum(count for (stage, s), count in self.work.items() if stage in stages and s == state)

    def oldest(self, *stages: Stage) -> int | None:
        """Return when the oldest row of *stages* was queued."""
        return min((ms for stage in stages if (ms := self.oldest_ms[stage]) is not None), default=None)


class Counting:
    """Counts, and remembers."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._one_at_a_time = asyncio.Lock()
        self._counts: Counts | None = None
        self._as_of = -1
        self._good_until_s = 0.0

    async def counts(self) -> Counts:
        """Return all counts."""
        async with self._one_at_a_time:
            if not self._is_good():
                self._as_of, began_s = self._db.commits, time.monotonic()
                with self._db.damage_noted():
                    self._counts = await asyncio.to_thread(self._count)
                ended_s = time.monotonic()
                took_s = ended_s - began_s
                self._good_until_s = ended_s + (REST * took_s if took_s > LITTLE_S else 0.0)
            assert self._counts is not None
            return self._counts

    def expire(self) -> None:
        """Count anew when somebody asks next, however soon that is."""
        self._good_until_s = 0.0

    def _is_good(self) -> bool:
        """Say whether the last answer may be given again.

        That nothing is left to do must be true now: whoever reads that all is stored must be able to believe it.
        """
        if self._counts is None or self._as_of == self._db.commits:
            return self._counts is not None
        return any(self._counts.work.values()) and time.monotonic() < self._good_until_s

    def _count(self) -> Counts:
        files = dict.fromkeys(FileState, 0)
        work = dict.fromkeys(((stage, state) for stage in Stage for state in WorkState), 0)
        oldest: dict[Stage, list[int]] = {stage: [] for stage in Stage}
        held_deletions = 0
        for what, place, state, count, since_ms in self._rows():
            if what == "held":
                held_deletions = count
                continue
            if what == "files":
                files[FileState(place)] += count
                continue
            work[Stage(place), WorkState(state)] += count
            oldest[Stage(place)] += [] if since_ms is None else [since_ms]
        return Counts(files, work, {stage: min(since, default=None) for stage, since in oldest.items()}, held_deletions)

    def _rows(self) -> Iterator[tuple[str, str, str, int, int | None]]:
        with self._db.reading() as conn:
            yield from conn.execute(COUNT).fetchall()
