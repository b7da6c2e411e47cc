"""Files that were not where they should be when their turn came to be hashed or sent."""

from pp_assist.store.db import Database

AT_A_TIME = 1000
RECENT_MS = 5_000

_ASTRAY = """
SELECT d.path, f.name FROM work w CROSS JOIN files f ON f.id = w.file_id
CROSS JOIN directories d ON d.id = f.directory_id
WHERE w.reason IN ('not_there', 'changed') AND w.eligible_at_ms > ? AND w.stage IN ('checksum', 'upload')
AND d.root_id = ? LIMIT ?"""  # as `work_astray` says it: this is asked every few seconds


async def places(db: Database, root_id: int, now_ms: int) -> dict[bytes, dict[bytes, bool]]:
    """Return where somebody looked in vain: directory → names. Their rows were put off just now, or are about to be."""
    found: dict[bytes, dict[bytes, bool]] = {}
    for directory, name in await db.rows(_ASTRAY, (now_ms - RECENT_MS, root_id, AT_A_TIME)):
        found.setdefault(directory, {})[name] = False
    return found
