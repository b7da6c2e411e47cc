"""The folder that files are restored into: everything is reached from its descriptor, and no link is ever followed.

Blocking: call it in threads. A small file that was begun and not finished has no permissions, and the sticky bit, which
means nothing for a file and which nobody else gives one: that is how the next run knows it, and makes it again.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from pp_assist import posix
from pp_assist.core.errors import AssistError, RootUnhealthy
from pp_assist.core.fetching import partial_name
from pp_assist.core.identity import Identity, Standing, standing
from pp_assist.disk import identity_of
from pp_assist.restore.wanted import Outcome, Wanted

BLOCK_BYTES = 1 << 20
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | posix.NO_FOLLOW | posix.CLOSE_ON_EXEC | posix.BINARY
USUAL_MODE, USUAL_FOLDER_MODE = 0o644, 0o755
LENDS_RIGHTS = stat.S_ISUID | stat.S_ISGID
BEGUN_MODE = stat.S_ISVTX
BEGUN_FOLDER_MODE = stat.S_ISVTX | 0o700
"""Of the folder itself, where we made it, until it gets the mode it had."""
FAILURES = (OSError, ValueError, OverflowError)
"""What making a file ends with, where the system does not want it so; the last two: nobody can make such a file."""

Done = tuple[Wanted, Outcome, AssistError | None]
"""A path, what became of it, and why where it failed."""


class NotWritten(AssistError):
    """It cannot be written where it is wanted."""

    reason = "not_written"


class Folder:
    """A folder, opened. *overwrite*: what differs is replaced. *owners*: files get the owners they had.

    *known*: it is there already, and known by this; without it, it is made where it is not there.
    *settles_right*: a file whose content is right already gets its owner, mode and time; else it is left as it is.
    *durable*: directories, and what is made as `LargeFile`, outlast a power cut once they are made.
    """

    def __init__(
        self,
        path: bytes,
        overwrite: bool,
        owners: bool,
        known: Identity | None = None,
        settles_right: bool = True,
        durable: bool = False,
    ) -> None:
        """Open it.

        Raises:
            OSError: it cannot be opened.
            RootUnhealthy: it is another folder than the one that is *known*.
        """
        if known is None:
            with suppress(FileExistsError):
                os.makedirs(path, BEGUN_FOLDER_MODE)
        self._fd = posix.open_root(path)
        try:
            if known is not None and standing(known, identity_of(self._fd)) is Standing.OTHER:
                raise RootUnhealthy("another folder stands in its place (unmounted, or replaced)")
            self._is_ours = known is None and stat.S_IMODE(os.fstat(self._fd).st_mode) == BEGUN_FOLDER_MODE
        except BaseException:
            os.close(self._fd)
            raise
        self._made: set[bytes] = set()
        self.overwrite = overwrite
        self.durable = durable
        self._owners = owners
        self._settles_right = settles_right

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    @contextmanager
    def opened(self, directory: bytes) -> Iterator[int]:
        """Open a directory below the folder for the block."""
        parts = directory.split(b"/") if directory else []
        with posix.opened(posix.open_beneath(self._fd, parts, posix.OPEN_DIRECTORY)) as fd:
            yield fd

    def sync_names(self, directory: int) -> None:
        """Make the names in an open directory durable, if we are to be, where a directory can be synced."""
        if self.durable:
            with suppress(OSError):
                os.fsync(directory)

    def file_at(self, relative: bytes) -> os.stat_result | None:
        """Return what is known of the finished regular file that lies at *relative*; None: there is none."""
        directory, _, name = relative.rpartition(b"/")
        try:
            with self.opened(directory) as fd:
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError:
            return None
        is_finished = stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) != BEGUN_MODE
        return found if is_finished else None

    def make_directories(self, directories: Iterable[bytes]) -> None:
        """Make those that are not there, ours alone for now; one that cannot be made shows with its files."""
        for directory in sorted(set(directories) - {b""}):
            parent, _, name = directory.rpartition(b"/")
            with suppress(OSError), self.opened(parent) as fd:
                os.mkdir(name, 0o700, dir_fd=fd)
                self._made.add(directory)
                self.sync_names(fd)

    def sort_out(self, files: Sequence[Wanted]) -> list[Done | None]:
        """Say of each file what is to be done about it: None where it must be fetched."""
        return self._each(files, self._look)

    def write(self, files: Sequence[tuple[Wanted, bytes]]) -> list[Done]:
        """Make small files."""
        contents = {id(wanted): content for wanted, content in files}

        def make(directory: int, wanted: Wanted) -> Outcome:
            return self._make(directory, wanted, contents[id(wanted)])

        return [done for done in self._each([wanted for wanted, _ in files], make) if done]

    def link(self, links: Sequence[Wanted]) -> list[Done]:
        """Make symbolic links; where they lead does not matter."""
        return [done for done in self._each(links, self._link) if done]

    def settle_directories(self, directories: Sequence[Wanted]) -> list[Done]:
        """Give directories their modes and times, the deepest first: making what is in them has changed those.

        The folder itself only where we made it: who restores into /tmp does not want it to become like the old one.
        """
        done: list[Done] = []
        if self._is_ours:
            posix.set_mode(self._fd, USUAL_FOLDER_MODE)
        for wanted in sorted(directories, key=lambda each: each.relative.count(b"/"), reverse=True):
            try:
                if not wanted.relative and not self._is_ours:
                    done.append((wanted, Outcome.RIGHT, None))
                    continue
                with self.opened(wanted.relative) as fd:
                    is_right = wanted.relative not in self._made and self._is_settled(fd, wanted)
                    if not is_right:
                        self.settle(fd, wanted)
                done.append((wanted, Outcome.RIGHT if is_right else Outcome.RESTORED, None))
            except FAILURES as error:
                done.append((wanted, Outcome.FAILED, not_written(error)))
        return done

    def settle(self, fd: int, wanted: Wanted) -> None:
        """Give an open file or directory its owner, mode and time, in this order: the owner changes the mode."""
        if self._owners and wanted.uid is not None and wanted.gid is not None:
            posix.set_owner(fd, wanted.uid, wanted.gid)
        if wanted.kind == "file":
            posix.set_mode(fd, _mode_of(fd, wanted))
        elif wanted.mode is not None:
            posix.set_mode(fd, wanted.mode)
        if wanted.mtime_ns is not None:
            os.utime(fd, ns=(wanted.mtime_ns, wanted.mtime_ns))

    def _is_settled(self, fd: int, wanted: Wanted) -> bool:
        """Say whether `settle` would change nothing about an open directory."""
        found = os.fstat(fd)
        owner = (wanted.uid, wanted.gid)
        return (
            (not self._owners or None in owner or owner == (found.st_uid, found.st_gid))
            and wanted.mode in (None, stat.S_IMODE(found.st_mode))
            and wanted.mtime_ns in (None, found.st_mtime_ns)
        )

    def _each(self, files: Sequence[Wanted], act: Callable[[int, Wanted], Outcome | None]) -> list[Done | None]:
        """Act on each of *files* within its directory, which is opened once for all that follow each other in it."""
        results: list[Done | None] = []
        directory, fd = None, -1
        try:
            for wanted in files:
                try:
                    if wanted.directory != directory:
                        if fd >= 0:
                            os.close(fd)
                            directory, fd = None, -1
                        parts = wanted.directory.split(b"/") if wanted.directory else []
                        fd = posix.open_beneath(self._fd, parts, posix.OPEN_DIRECTORY)
                        directory = wanted.directory
                    outcome = act(fd, wanted)
                    results.append(None if outcome is None else (wanted, outcome, None))
                except FAILURES as error:
                    results.append((wanted, Outcome.FAILED, not_written(error)))
        finally:
            if fd >= 0:
                os.close(fd)
        return results

    def _look(self, directory: int, wanted: Wanted) -> Outcome | None:
        try:
            found = os.stat(wanted.name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return Outcome.DIFFERS
        if stat.S_IMODE(found.st_mode) == BEGUN_MODE and wanted.mode != BEGUN_MODE:
            os.unlink(wanted.name, dir_fd=directory)  # ours, and not finished
            return None
        if found.st_size == wanted.size_bytes and self._is_right(directory, wanted):
            return Outcome.RIGHT
        return None if self.overwrite else Outcome.DIFFERS

    def _is_right(self, directory: int, wanted: Wanted) -> bool:
        """Say whether the content is the one wanted; then see to the rest. What we may not read is another one."""
        sha = hashlib.sha256()
        try:
            opened = os.open(wanted.name, posix.OPEN_FILE, dir_fd=directory)
        except PermissionError:
            return False
        with posix.opened(opened) as fd:
            while block := os.read(fd, BLOCK_BYTES):
                sha.update(block)
            if sha.hexdigest() != wanted.sha256:
                return False
            if self._settles_right:
                self.settle(fd, wanted)
        return True

    def _make(self, directory: int, wanted: Wanted, content: bytes) -> Outcome:
        name = wanted.name
        try:
            fd = os.open(name, NEW, BEGUN_MODE, dir_fd=directory)
        except FileExistsError:
            if not self.overwrite:
                return Outcome.DIFFERS  # made by somebody since we looked
            name = temporary_name(wanted)
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
            fd = os.open(name, NEW, BEGUN_MODE, dir_fd=directory)
        try:
            with posix.opened(fd):
                write_all(fd, content)
                self.settle(fd, wanted)
            if name != wanted.name:
                os.replace(name, wanted.name, src_dir_fd=directory, dst_dir_fd=directory)
        except FAILURES:
            os.unlink(name, dir_fd=directory)
            raise
        return Outcome.RESTORED

    def _link(self, directory: int, wanted: Wanted) -> Outcome:
        target = wanted.link_target or b""
        try:
            os.symlink(target, wanted.name, dir_fd=directory)
        except FileExistsError:
            try:
                there = os.readlink(wanted.name, dir_fd=directory)
            except OSError:  # something else than a link
                return Outcome.DIFFERS
            if there == target:
                return Outcome.RIGHT
            if not self.overwrite:
                return Outcome.DIFFERS
            name = temporary_name(wanted)
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
            os.symlink(target, name, dir_fd=directory)
            os.replace(name, wanted.name, src_dir_fd=directory, dst_dir_fd=directory)
        if wanted.mtime_ns is not None and os.utime in os.supports_follow_symlinks:
            times = (wanted.mtime_ns, wanted.mtime_ns)
            os.utime(wanted.name, ns=times, dir_fd=directory, follow_symlinks=False)
        return Outcome.RESTORED


def _mode_of(fd: int, wanted: Wanted) -> int:
    """Return what mode an open file gets: it lends nobody's rights but those of the owner it had."""
    mode = USUAL_MODE if wanted.mode is None else wanted.mode
    if mode & LENDS_RIGHTS:
        found = os.fstat(fd)
        if (found.st_uid, found.st_gid) != (wanted.uid, wanted.gid):
            return mode & ~LENDS_RIGHTS
    return mode


def temporary_name(wanted: Wanted) -> bytes:
    """Return the name under which a file is made before it gets its own: the same one each time, to go on with it."""
    about = hashlib.sha256(b"\0".join([wanted.name, (wanted.sha256 or "").encode()])).hexdigest()
    return partial_name(about)


def not_written(error: BaseException) -> NotWritten:
    """Return what it means for a file that *error* came while it was made."""
    return NotWritten(getattr(error, "strerror", None) or str(error))


def write_all(fd: int, content: bytes | memoryview) -> None:
    """Write all of *content*."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
