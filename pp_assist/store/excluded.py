"""Whole directories that are left out from now on: by a pattern, or because a link stands in their place. Leaving out
never deletes: nothing is told.

Such a directory is not looked into any more, so what is known below it is settled when that begins. When it is taken
in again, each of its files is found as one that was excluded; what is missing by then is forgotten.
"""

from collections.abc import Sequence

import aiosqlite

from pp_assist.core.compare import Changes
from pp_assist.core.model import Claim
from pp_assist.core.rules import BEHIND_A_LINK, LeftOut
from pp_assist.store import queue, tree_moves, versions
from pp_assist.store.observations import KEEP, KEEP_ONE, join
from pp_server.wire.names import below

_HERE = "SELECT id FROM directories WHERE root_id = ? AND (path = ? OR (path >= ? AND path < ?))"
_FORGET_MISSING = f"DELETE FROM files WHERE state = 'vanished' AND directory_id IN ({_HERE})"  # noqa: S608 - constants
_KEEP_MISSING = KEEP.format(which=f"f.state = 'vanished' AND f.directory_id IN ({_HERE})")
_NO_WORK = f"""
DELETE FROM work WHERE file_id IN (SELECT id FROM files WHERE directory_id IN ({_HERE}))"""  # noqa: S608 - constants
_MISSING = f"SELECT id FROM files WHERE state = 'vanished' AND directory_id IN ({_HERE})"  # noqa: S608 - constants
_ANY_MOVE = "SELECT 1 FROM tree_moves LIMIT 1"
_GONE = "UPDATE directories SET gone = 1 WHERE root_id = ? AND path = ?"
_EXCLUDE = f"""
UPDATE files SET state = 'excluded', reason = ?, rule_pattern = ?, rule_source = ?, rule_line = ?
WHERE directory_id IN ({_HERE})"""  # noqa: S608 - constants


async def settle(tx: aiosqlite.Connection, root_id: int, directory: bytes, changes: Changes) -> None:
    """Write down what *changes* of one look at *directory* mean for everything below it."""
    for name, out in changes.excluded_directories:
        path = join(directory, name)
        where = root_id, path, *below(path)
        await _exclude(tx, where, out)
        if out == BEHIND_A_LINK:
            await tx.execute(_GONE, (root_id, path))  # so it is settled once


async def forget_missing(tx: aiosqlite.Connection, missing: Sequence[Claim]) -> None:
    """Forget files whose deletion cannot be told any more, and remember that the server keeps them."""
    current = {file_id for file_id, *_ in await queue.current(tx, missing)}
    if current:
        await tx.executemany(KEEP_ONE, [(file_id,) for file_id in current])
        await tree_moves.keep_sources(tx, current)
        await versions.forget(tx, missing)


async def _exclude(tx: aiosqlite.Connection, where: tuple[object, ...], out: LeftOut) -> None:
    await tx.execute(_KEEP_MISSING, where)
    if await tx.execute_fetchall(_ANY_MOVE):
        await tree_moves.keep_sources(tx, {row[0] for row in await tx.execute_fetchall(_MISSING, where)})
    await tx.execute(_FORGET_MISSING, where)
    await tx.execute(_NO_WORK, where)
    await tx.execute(_EXCLUDE, (out.reason, *(out.rule or (None, None, None)), *where))
