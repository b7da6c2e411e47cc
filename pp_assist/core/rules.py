"""What is left out, and by which rule. Nothing is excluded without a name."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pp_assist.core.fetching import is_partial_name
from pp_assist.core.model import STORABLE, Kind, Listing, Snapshot
from pp_assist.core.patterns import SETTING, Judge, Level, Rule
from pp_server.wire.chunks import MIB
from pp_server.wire.names import MAX_PATH_BYTES, SERVER_DATA_MARK

SYSTEM_JUNK = frozenset({b".DS_Store", b"Thumbs.db", b"lost+found"})


class LeftOut(NamedTuple):
    """Why a name is left out."""

    reason: str
    """A stable word."""
    rule: Rule | None = None
    """What a person wrote, where it is not a rule of our own."""


OWN_DIRECTORY = LeftOut("own_directory")
JUNK = LeftOut("system_junk")
OTHER_FILE_SYSTEM = LeftOut("other_file_system")
SERVER_DATA = LeftOut("server_data")
COMING_BACK = LeftOut("coming_back")
BEHIND_A_LINK = LeftOut("behind_a_link")
"""A link stands where the folder was. It is stored as a link; what was in the folder is not there to be seen."""


def marks_server_data(entries: Iterable[Snapshot]) -> bool:
    """Say whether the mark of a server is among *entries* of a directory."""
    return any(entry.name == SERVER_DATA_MARK and entry.kind is Kind.FILE for entry in entries)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one root. *own* are (device, inode) pairs of our own directories: never scanned, however reached."""

    own: frozenset[tuple[int, int]]
    root_device: int
    root_length: int
    """Bytes of the root's path as shown, for the limit on whole paths."""
    levels: tuple[Level, ...] = ()
    """The patterns that count everywhere in the root, outermost first."""

    max_size_mb: int = 0
    """Larger files are left out; 0: none is too large."""
    recursive: bool = True
    """Whether directories are watched at all, and what is in them."""

    def excluded(self, entry: Snapshot, judge: Judge) -> LeftOut | None:
        """Return the rule that leaves *entry* out, or None. *judge* has the patterns of its directory."""
        is_folder = entry.kind is Kind.DIR
        if is_folder and (entry.stat.device, entry.stat.inode) in self.own:
            return OWN_DIRECTORY
        if entry.name in SYSTEM_JUNK:
            return JUNK
        if entry.kind is Kind.FILE and is_partial_name(entry.name):
            return COMING_BACK
        if is_folder and (entry.mounted or entry.stat.device != self.root_device):
            return OTHER_FILE_SYSTEM
        if judge.levels and (rule := judge.rule(entry.name, is_folder)):
            return LeftOut("pattern", rule)
        if self.max_size_mb and entry.kind is Kind.FILE and entry.stat.size_bytes > self.max_size_mb * MIB:
            return LeftOut("too_large", Rule(f"max_size_mb = {self.max_size_mb}", SETTING, None))
        return None

    @staticmethod
    def judge(listing: Listing) -> Judge:
        """Return the patterns that count for the names in *listing*."""
        return Judge(listing.levels, listing.directory)

    @staticmethod
    def leaves_out_all(listing: Listing) -> LeftOut | None:
        """Return the rule that leaves out everything in the directory of *listing*, or None."""
        return SERVER_DATA if listing.is_server_data or marks_server_data(listing.entries) else None

    def room(self, directory: bytes) -> int:
        """Return how many bytes a name in *directory* may have."""
        return MAX_PATH_BYTES - self.root_length - 1 - (len(directory) + 1 if directory else 0)

    def unsupported(self, directory: bytes, entry: Snapshot) -> str | None:
        """Return why we cannot store *entry*, or None."""
        if len(entry.name) > self.room(directory):
            return "path too long"
        return None if entry.kind in STORABLE else entry.kind.value
