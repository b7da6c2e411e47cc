"""Servers that promise too early: what a check of power cuts must find."""

from pp_server.durable import Durable
from pp_server.metadata import engine
from tests.power.cutting import MakeDurable, cutting

OFTEN = 25
"""Pages between two checkpoints; see `cutting.CHECKPOINTS`."""


class ForgetsContent(Durable):
    """Says that files are durable, and does nothing for it."""

    def sync(self, fd: int) -> None:
        """Nothing."""

    def datasync(self, fd: int) -> None:
        """Nothing."""


class ForgetsNames(Durable):
    """The same for names in directories."""

    def sync_dir(self, path: str) -> None:
        """Nothing."""


def forgets_commits() -> Durable:
    """A database that does not wait for the disk. Called in forked processes only."""
    asleep = tuple(text.replace("synchronous = FULL", "synchronous = OFF") for text in engine._WRITER_PRAGMAS)
    assert asleep != engine._WRITER_PRAGMAS
    engine._WRITER_PRAGMAS = asleep
    return Durable()


def cut_a_cheat(cheat: MakeDurable, seed: int, most_cuts: int, packed_kb: int) -> None:
    """Cut the power under such a server until that shows. Raises Broken then."""
    with cutting(seed, cheat, hosts=1, checkpoint=OFTEN, packed_kb=packed_kb) as cuts:
        for _ in range(most_cuts):
            cuts.round()
