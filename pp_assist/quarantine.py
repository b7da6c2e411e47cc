"""Damaged databases are put aside, never removed: a person may want to look at them."""

import contextlib
import os
from datetime import UTC, datetime

from pp_assist import posix

FOLDER = "quarantine"
_BESIDE = ("", "-wal", "-shm", "-journal")


def put_aside(database: str) -> str:
    """Move the database with all that belongs to it into a new folder beside it; return that folder.

    Raises:
        OSError: it cannot be moved.
    """
    state = os.path.dirname(database)
    posix.make_private_directory(os.path.join(state, FOLDER))
    folder = _new_folder(os.path.join(state, FOLDER, datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")))
    for suffix in _BESIDE:
        with contextlib.suppress(FileNotFoundError):
            os.rename(database + suffix, os.path.join(folder, os.path.basename(database) + suffix))
    posix.sync_directory(folder)
    posix.sync_directory(state)
    return folder


def _new_folder(wanted: str) -> str:
    number = 1
    while True:
        path = wanted if number == 1 else f"{wanted}-{number}"
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            number += 1
        else:
            return path
