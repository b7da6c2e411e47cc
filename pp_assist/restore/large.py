"""One large file on its way back: under a temporary name, from where the last run ended, hashed as it is written."""

import errno
import hashlib
import os
from contextlib import suppress

from pp_assist import posix
from pp_assist.core.errors import AssistError, ServerNonsense
from pp_assist.restore.folder import BEGUN_MODE, BLOCK_BYTES, NEW, Folder, temporary_name, write_all
from pp_assist.restore.wanted import Outcome, Wanted

_GO_ON = os.O_RDWR | posix.NO_FOLLOW | posix.NON_BLOCK | posix.CLOSE_ON_EXEC | posix.BINARY
_BEGIN = (NEW & ~os.O_WRONLY) | os.O_RDWR
_PRIVATE_MODE = 0o600

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
"""Where a file can have one name only, as on many network folders."""

NOT_THE_CONTENT = "what came is not the content that was asked for"


class BeingMade(AssistError):
    """The same file is being made by somebody else at this moment."""

    reason = "being_made"

    def __init__(self) -> None:
        super().__init__("the same file is being brought back already, or has just been")


class LargeFile:
    """A file that is being made. Blocking: call it in threads, and close it."""

    def __init__(self, folder: Folder, wanted: Wanted) -> None:
        self._folder = folder
        self._wanted = wanted
        self._temporary = temporary_name(wanted)
        self._sha = hashlib.sha256()
        self._is_finished = False
        self.offset = 0
        """How much of it is there."""
        with folder.opened(wanted.directory) as directory:
            self._directory = os.dup(directory)
        try:
            self._fd = _opened(self._temporary, self._directory)
        except BaseException:
            os.close(self._directory)
            raise
        try:
            self._take_up()
        except BaseException:
            self.close()
            raise

    def _take_up(self) -> None:
        """Hash what an earlier run has left, to go on behind it."""
        if os.fstat(self._fd).st_size > self._wanted.size_bytes:
            os.ftruncate(self._fd, 0)
        while block := os.read(self._fd, BLOCK_BYTES):
            self._sha.update(block)
            self.offset += len(block)

    def write(self, content: bytes) -> None:
        """Take the next bytes."""
        self._sha.update(content)
        write_all(self._fd, content)
        self.offset += len(content)

    def finish(self) -> Outcome:
        """Give the file its name.

        Raises:
            ServerNonsense: it is not what was wanted; what there is of it is removed.
        """
        self._is_finished = True
        if self.offset != self._wanted.size_bytes or self._sha.hexdigest() != self._wanted.sha256:
            os.unlink(self._temporary, dir_fd=self._directory)
            raise ServerNonsense(NOT_THE_CONTENT)
        self._folder.settle(self._fd, self._wanted)
        if self._folder.durable:
            os.fsync(self._fd)
        outcome = self._get_name()
        self._folder.sync_names(self._directory)
        return outcome

    def _get_name(self) -> Outcome:
        temporary, name, fd = self._temporary, self._wanted.name, self._directory
        if self._folder.overwrite:
            os.replace(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
            return Outcome.RESTORED
        outcome = Outcome.RESTORED
        try:
            _rename_to_free(temporary, name, fd)
        except FileExistsError:
            outcome = Outcome.DIFFERS
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=fd)
        return outcome

    def close(self) -> None:
        """Let go of it; what there is stays, to go on with, if there is anything."""
        with suppress(OSError):
            if os.fstat(self._fd).st_size == 0 and not self._is_finished:
                os.unlink(self._temporary, dir_fd=self._directory)
        os.close(self._fd)
        os.close(self._directory)


def _rename_to_free(temporary: bytes, name: bytes, directory: int) -> None:
    """Give a file another name, in the same directory, unless that is taken; it may have both then.

    Raises:
        FileExistsError: it is.
    """
    try:
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(name, NEW, BEGUN_MODE, dir_fd=directory))  # the name is ours from here on
        os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


def _opened(name: bytes, directory: int) -> int:
    """Open what an earlier run began, or begin.

    Only a file that is certainly ours is gone on with: others may be able to write to the folder, and have made a link
    there to a file of ours that must not be touched, or a file of theirs that they could change later.
    """
    try:
        fd = os.open(name, _GO_ON, dir_fd=directory)
    except OSError:
        fd = -1
    if fd >= 0:
        if posix.is_ours_alone(os.fstat(fd)):
            _claim(fd, name, directory)
            posix.set_mode(fd, _PRIVATE_MODE)
            return fd
        os.close(fd)
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
    fd = os.open(name, _BEGIN, _PRIVATE_MODE, dir_fd=directory)
    _claim(fd, name, directory)
    return fd


def _claim(fd: int, name: bytes, directory: int) -> None:
    """Make sure that nobody else makes this file at this moment, and that it has its temporary name yet.

    Who finishes it first gives it another name: the next one would write into the finished file.

    Raises:
        BeingMade: somebody does, or has just finished it. It is closed.
    """
    try:
        try:
            posix.lock(fd)
        except BlockingIOError as error:
            raise BeingMade from error
        except OSError:
            pass  # there are no locks on this file system
        try:
            named = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError as error:
            raise BeingMade from error
        if not os.path.samestat(named, os.fstat(fd)):
            raise BeingMade
    except BaseException:
        os.close(fd)
        raise
