"""What is left out, and by which rule. Nothing is excluded without a name."""

from collections.abc import Iterable
from dataclasses import dataclass

from pp_assist.core.model import Kind, Snapshot
from pp_server.wire.names import MAX_PATH_BYTES, SERVER_DATA_MARK

SYSTEM_JUNK = frozenset({b".DS_Store", b"Thumbs.db", b"lost+found"})


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one root. *own* are (device, inode) pairs of our own directories: never scanned, however reached."""

    own: frozenset[tuple[int, int]]
    root_device: int
    root_length: int
    """Bytes of the root's path as shown, for the limit on whole paths."""

    def excluded(self, entry: Snapshot) -> str | None:
        """Return the name of the rule that leaves *entry* out, or None."""
        if entry.kind is Kind.DIR and (entry.stat.device, entry.stat.inode) in self.own:
            return "own_directory"
        if entry.name in SYSTEM_JUNK:
            return "system_junk"
        if entry.kind is Kind.DIR and entry.stat.device != self.root_device:
            return "other_file_system"
        return None

    @staticmethod
    def leaves_out_all(entries: Iterable[Snapshot]) -> str | None:
        """Return the name of the rule that leaves out everything in a directory with these *entries*, or None."""
        marked = any(entry.name == SERVER_DATA_MARK and entry.kind is Kind.FILE for entry in entries)
        return "server_data" if marked else None

    def unsupported(self, directory: bytes, entry: Snapshot) -> str | None:
        """Return why we cannot store *entry*, or None."""
        length = self.root_length + 1 + (len(directory) + 1 if directory else 0) + len(entry.name)
        if length > MAX_PATH_BYTES:
            return "path too long"
        return None if entry.kind in (Kind.FILE, Kind.DIR) else entry.kind.value
