"""Whole directories that a pattern leaves out from now on. Leaving out never deletes: nothing is told.

Such a directory is not looked into any more, so what is known below it is settled when that begins. When it is taken
in again, each of its files is found as one that was excluded; what is missing by then is forgotten.
"""

import aiosqlite

from pp_assist.core.compare import Changes
from pp_assist.core.rules import LeftOut
from pp_assist.store.observations import KEEP, join
from pp_server.wire.names import below

_HERE = "SELECT id FROM directories WHERE root_id = ? AND (path = ? OR (path >= ? AND path < ?))"
_FORGET_MISSING = f"DELETE FROM files WHERE state = 'vanished' AND directory_id IN ({_HERE})"  # noqa: S608 - constants
_KEEP_MISSING = KEEP.format(which=f"f.state = 'vanished' AND f.directory_id IN ({_HERE})")
_NO_WORK = f"""
DELETE FROM work WHERE file_id IN (SELECT id FROM files WHERE directory_id IN ({_HERE}))"""  # noqa: S608 - constants
_EXCLUDE = f"""
UPDATE files SET state = 'excluded', reason = ?, rule_pattern = ?, rule_source = ?, rule_line = ?
WHERE directory_id IN ({_HERE})"""  # noqa: S608 - constants


async def settle(tx: aiosqlite.Connection, root_id: int, directory: bytes, changes: Changes) -> None:
    """Write down what *changes* of one look at *directory* mean for everything below it."""
    for name, out in changes.excluded_directories:
        path = join(directory, name)
        await _exclude(tx, (root_id, path, *below(path)), out)


async def _exclude(tx: aiosqlite.Connection, where: tuple[object, ...], out: LeftOut) -> None:
    await tx.execute(_KEEP_MISSING, where)
    await tx.execute(_FORGET_MISSING, where)
    await tx.execute(_NO_WORK, where)
    await tx.execute(_EXCLUDE, (out.reason, *(out.rule or (None, None, None)), *where))
