"""How many names are known in what a look is about, and where to cut it where they are too many."""

from collections.abc import Sequence

from pp_assist.core.model import Listing
from pp_assist.store.db import Database

_COUNTED = """
WITH looked (position, path, first, end) AS (VALUES {values})
SELECT l.position, (SELECT COUNT(*) FROM (
    SELECT 1 FROM files f WHERE f.directory_id = d.id AND f.name >= l.first AND f.name < l.end LIMIT ?))
FROM looked l JOIN directories d ON d.root_id = ? AND d.path = l.path"""

_EDGES = """
SELECT name FROM (
    SELECT f.name, ROW_NUMBER() OVER (ORDER BY f.name) AS number
    FROM directories d JOIN files f ON f.directory_id = d.id
    WHERE d.root_id = ? AND d.path = ? AND f.name > ? AND f.name < ?)
WHERE number % ? = 0 ORDER BY name"""


async def counted(db: Database, root_id: int, listings: Sequence[Listing], most: int) -> list[int]:
    """Return how many names are known in the part that each of *listings* is about; of more than *most*, one more.

    One that is about names that were asked for counts none.
    """
    counts = [0] * len(listings)
    about = [(n, lst.directory, *lst.part) for n, lst in enumerate(listings) if lst.asked is None]
    if about:
        sql = _COUNTED.format(values=", ".join(["(?, ?, ?, ?)"] * len(about)))
        values = [value for each in about for value in each]
        for position, count in await db.rows(sql, (*values, most + 1, root_id)):
            counts[position] = count
    return counts


async def edges(db: Database, root_id: int, listing: Listing, every: int) -> list[bytes]:
    """Return each *every*th of the names that are known in the part that *listing* is about, in their order."""
    rows = await db.rows(_EDGES, (root_id, listing.directory, *listing.part, every))
    return [row[0] for row in rows]
