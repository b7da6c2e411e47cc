"""The counter that every version of every file takes its generation from. All functions take their transaction."""

import aiosqlite

_TAKE_GENS = "UPDATE daemon_state SET value = value + ? WHERE name = 'gen' RETURNING value"
_FORGOTTEN = """
SELECT value < ?1, EXISTS (SELECT 1 FROM work WHERE gen <= ?1) AND (
    value < ?1 OR NOT EXISTS (SELECT 1 FROM files WHERE offered_gen IS NOT NULL))
FROM daemon_state WHERE name = 'gen'"""
_NEVER_TOLD = "(offered_gen IS NULL OR offered_gen < gen)"  # what was told keeps its generation: it may be told again
_RENEW_WORK = f"UPDATE work SET gen = gen + ? WHERE file_id IN (SELECT id FROM files WHERE {_NEVER_TOLD})"  # noqa: S608
_RENEW_FILES = f"UPDATE files SET gen = gen + ? WHERE id IN (SELECT file_id FROM work) AND {_NEVER_TOLD}"  # noqa: S608
_RENEW_GEN = "UPDATE daemon_state SET value = value + ? WHERE name = 'gen'"
_RAISE_GEN = "UPDATE daemon_state SET value = MAX(value, ?) WHERE name = 'gen'"


async def take(tx: aiosqlite.Connection, count: int) -> range:
    """Return *count* generations never used before."""
    if not count:
        return range(0)
    (row,) = await tx.execute_fetchall(_TAKE_GENS, (count,))
    return range(row[0] - count + 1, row[0] + 1)


async def raise_to(tx: aiosqlite.Connection, at_least: int) -> None:
    """Let every generation from now on be above *at_least*."""
    await tx.execute(_RAISE_GEN, (at_least,))


async def catch_up(tx: aiosqlite.Connection, highest: int) -> bool:
    """Let every generation from now on be above *highest*, the last one a server knows of this host.

    Return whether that is one we never gave: our memory is older than the server's, or was lost. Then what is still to
    be done is raised as well, as it is where we have never told anybody anything: it would all come back as stale,
    after its content has travelled.
    """
    ((is_behind, is_used),) = await tx.execute_fetchall(_FORGOTTEN, (highest,))
    if is_used:
        for sql in (_RENEW_WORK, _RENEW_FILES, _RENEW_GEN):
            await tx.execute(sql, (highest,))
    await raise_to(tx, highest)
    return bool(is_behind)
