"""The data directory: what lies where, whose it is, and whether its filesystem can do what we promise."""

import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pp_server import posix
from pp_server.core.errors import ServerError, StartRefused
from pp_server.durable import Durable
from pp_server.wire.names import SERVER_DATA_MARK

_PROBE = ".probe-"
_MARK_TEXT = "This folder belongs to pp_server. pp_assist leaves it out because this file is here.\n"


class DataDirBusy(StartRefused):
    """Another process works on the data directory."""


@dataclass(frozen=True, slots=True)
class DataDir:
    """Paths below one data directory."""

    root: str

    @classmethod
    def at(cls, root: Path) -> "DataDir":
        """Return the layout below *root*, made absolute."""
        return cls(os.path.abspath(root))

    @property
    def blobs(self) -> str:
        """Content by digest."""
        return os.path.join(self.root, "blobs")

    @property
    def packs(self) -> str:
        """Small content, many in a file."""
        return os.path.join(self.root, "packs")

    @property
    def receipts(self) -> str:
        """The receipts log."""
        return os.path.join(self.root, "receipts")

    @property
    def receipts_key(self) -> str:
        """The key that signs receipts."""
        return os.path.join(self.meta, "receipts.key")

    @property
    def staging(self) -> str:
        """Half-received uploads."""
        return os.path.join(self.root, "staging")

    @property
    def indexedcp(self) -> str:
        """What arrives by IndexedCP, a directory for each owner who uses it."""
        return os.path.join(self.root, "indexedcp")

    @property
    def quarantine(self) -> str:
        """Content that was found to be bad; nothing removes it."""
        return os.path.join(self.root, "quarantine")

    @property
    def meta(self) -> str:
        """The database's directory."""
        return os.path.join(self.root, "meta")

    @property
    def database(self) -> str:
        """The database."""
        return os.path.join(self.meta, "pp.db")

    @property
    def socket(self) -> str:
        """Where a running server is administered."""
        return os.path.join(self.root, "admin.sock")

    def create(self) -> None:
        """Have all directories exist, for this user alone."""
        posix.private_umask()
        try:
            self._create_root()
            for path in (self.root, *self._directories()):
                os.makedirs(path, 0o700, exist_ok=True)
                os.chmod(path, 0o700)
            with open(os.path.join(self.root, os.fsdecode(SERVER_DATA_MARK)), "w", encoding="ascii") as mark:
                mark.write(_MARK_TEXT)
        except OSError as error:
            raise StartRefused(f"The data directory {self.root} cannot be used: {error.strerror}") from error

    def _create_root(self) -> None:
        """Create the root with its parents, where they are missing; durable, as far as we may sync them."""
        missing, path = [], self.root
        while not os.path.exists(path):
            missing.append(path)
            path = os.path.dirname(path)
        os.makedirs(self.root, 0o700, exist_ok=True)
        for path in reversed(missing):
            with suppress(PermissionError):  # of somebody else, who lets us write to it and not read it
                posix.sync_dir(os.path.dirname(path))

    def _directories(self) -> tuple[str, ...]:
        return self.blobs, self.packs, self.staging, self.quarantine, self.meta, self.receipts

    def _irreplaceable(self) -> tuple[str, ...]:
        return self.blobs, self.packs, self.receipts

    def lock(self) -> int:
        """Take the directory for this process; return the descriptor to close at the end.

        Raises:
            DataDirBusy: another process has it.
        """
        fd = os.open(os.path.join(self.root, "LOCK"), os.O_RDWR | os.O_CREAT, 0o600)
        if not posix.lock_exclusive(fd):
            os.close(fd)
            raise DataDirBusy(f"Another server is running on {self.root}")
        return fd

    def check(self, durable: Durable) -> None:
        """Refuse to start where bytes could not be made durable, or where the database is gone but content is not.

        Raises:
            StartRefused: the message says what is wrong.
        """
        self._sweep_probes(durable)
        if not os.path.exists(self.database) and any(map(os.listdir, self._irreplaceable())):
            raise StartRefused(
                f"{self.database} is missing, but there is stored content: restore the database from a copy first,"
                " or have it made again with: pp_server rebuild"
            )
        try:
            durable.sync_dir(self.root)
            self._probe(durable)
        except (OSError, ServerError) as error:
            raise StartRefused(
                f"The filesystem of {self.root} cannot link, rename or sync as the server needs it ({error})"
            ) from error

    def _sweep_probes(self, durable: Durable) -> None:
        """Remove what is left of a start that was killed while it probed."""
        for directory in (self.staging, self.quarantine, self.blobs):
            for name in os.listdir(directory):
                if name.startswith(_PROBE):
                    durable.unlink(os.path.join(directory, name))

    def _probe(self, durable: Durable) -> None:
        name = _PROBE + uuid.uuid4().hex
        staged, linked = os.path.join(self.staging, name), os.path.join(self.quarantine, name)
        fd = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            durable.write(fd, b"probe", 0)
            durable.sync(fd)
            os.link(staged, linked)
            os.rename(linked, os.path.join(self.blobs, name))
            os.unlink(os.path.join(self.blobs, name))
            durable.sync_dir(self.blobs)
        finally:
            os.close(fd)
            for path in (staged, linked, os.path.join(self.blobs, name)):
                durable.unlink(path)
