"""Which contents are on their way, so that none is sent twice at a time."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pp_assist.core.model import Claim


@dataclass(frozen=True, slots=True)
class Taken:
    """Claims sorted by whose turn it is."""

    ours: list[Claim]
    """Whoever asked may send these."""
    others: list[Claim]
    """The same content is on its way for another file: wait, then ask again; by then the server has it, as a rule."""
    landings: list[asyncio.Event]

    async def landed(self) -> None:
        """Wait until the contents of `others` are no longer on their way, however that ended."""
        for landing in self.landings:
            await landing.wait()


class Flights:
    """The contents that are being sent at this moment, by digest."""

    def __init__(self) -> None:
        self._landing: dict[str, asyncio.Event] = {}

    @contextmanager
    def take(self, claims: Sequence[Claim]) -> Iterator[Taken]:
        """Sort *claims*; for the block, the contents of `ours` count as on their way. Nothing has no way to go."""
        landing = asyncio.Event()
        ours: list[Claim] = []
        others: list[Claim] = []
        landings: dict[int, asyncio.Event] = {}
        taken: set[str] = set()
        for claim in claims:
            assert claim.hashed is not None
            digest = claim.hashed.sha256
            if not claim.hashed.content_bytes:
                ours.append(claim)
                continue
            theirs = self._landing.get(digest) if digest not in taken else None
            if theirs is not None:
                others.append(claim)
                landings[id(theirs)] = theirs
            else:
                ours.append(claim)
                taken.add(digest)
                self._landing.setdefault(digest, landing)
        try:
            yield Taken(ours, others, list(landings.values()))
        finally:
            for digest in taken:
                if self._landing.get(digest) is landing:
                    del self._landing[digest]
            landing.set()
