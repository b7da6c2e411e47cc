"""A root whose file system has another device number than before: its files are the same ones, and not hashed again."""

from pp_assist.core.identity import Identity
from pp_assist.store import keepsake
from pp_assist.store.db import Database

DIRECTORIES_AT_A_TIME = 500

_DIRECTORIES = "SELECT id FROM directories WHERE root_id = ? AND id > ? ORDER BY id LIMIT ?"
_SOME = """(SELECT f.id FROM directories d JOIN files f ON f.directory_id = d.id
WHERE d.root_id = ?3 AND d.id > ?4 AND d.id <= ?5)"""
_RENUMBER = (
    f"UPDATE files SET device = ?1 WHERE device = ?2 AND id IN {_SOME}",  # noqa: S608 - constants
    f"UPDATE work SET seen_device = ?1 WHERE seen_device = ?2 AND file_id IN {_SOME}",  # noqa: S608 - constants
    f"UPDATE snapshots SET device = ?1 WHERE device = ?2 AND file_id IN {_SOME}",  # noqa: S608 - constants
)
_IDENTITY = "UPDATE roots SET device = ?, inode = ?, file_system = COALESCE(?, file_system) WHERE id = ?"


async def renumber(db: Database, root_id: int, old: int, found: Identity) -> None:
    """Let what is known about the files of a root on device *old* count for the device it has now.

    The root itself comes last: while this goes on, and should it be interrupted, it is not the folder that was
    registered, and nothing is said about its files.
    """
    last = -1
    while ids := [row[0] for row in await db.rows(_DIRECTORIES, (root_id, last, DIRECTORIES_AT_A_TIME))]:
        async with db.transaction() as tx:
            for sql in _RENUMBER:
                await tx.execute(sql, (found.device, old, root_id, last, ids[-1]))
        last = ids[-1]
    await identified(db, root_id, found)


async def identified(db: Database, root_id: int, found: Identity) -> None:
    """Note by which numbers a root is known from now on."""
    async with db.transaction() as tx:
        await tx.execute(_IDENTITY, (*found, root_id))
        await keepsake.changed(tx)
    await db.when_settings_change()
