"""What is in line, in pages: what stands there, and what it waits for. Only reads."""

import json
import sqlite3
from dataclasses import dataclass

from pp_assist.core.model import HUGE_BYTES, Lane, Stage, WorkState
from pp_assist.store.db import Database
from pp_assist.store.queue import LANE

ELIGIBLE = "eligible"
"""Of those that wait: those whose turn may be now."""

STATES = (*(state.value for state in WorkState), ELIGIBLE)

_IS = """
(?2 IS NULL OR (state = ?2 AND (?2 <> 'waiting' OR eligible_at_ms > ?3))
            OR (?2 = 'eligible' AND state = 'waiting' AND eligible_at_ms <= ?3))"""
_COUNT = f"SELECT COUNT(*) FROM work WHERE (?1 IS NULL OR stage = ?1) AND {_IS}"  # noqa: S608 - constants
_SOME = f"""
SELECT file_id FROM work WHERE stage = ?1 AND {_IS}
ORDER BY eligible_at_ms, file_id LIMIT ?4 OFFSET ?5"""  # noqa: S608 - constants
_ROWS = f"""
SELECT w.file_id AS id, w.stage, w.state, w.reason, w.last_error, w.attempts, w.queued_at_ms, w.eligible_at_ms,
       COALESCE(w.seen_size, f.size_bytes) AS size_bytes, f.kind, r.shown, d.path AS directory, f.name,
       CASE WHEN w.seen_size >= {HUGE_BYTES} THEN '{Lane.HUGE}'
            WHEN w.stage = 'upload' THEN w.lane
            ELSE (SELECT {LANE} FROM (SELECT f.kind AS kind, COALESCE(w.seen_size, f.size_bytes, 0) AS size_bytes)) END
            AS lane
FROM json_each(?) some JOIN work w ON w.file_id = some.value
JOIN files f ON f.id = w.file_id JOIN directories d ON d.id = f.directory_id JOIN roots r ON r.id = d.root_id
ORDER BY some.key"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Item:
    """One file in line."""

    id: int
    stage: Stage
    state: str
    """One of `STATES`."""
    lane: Lane
    reason: str | None
    last_error: str | None
    attempts: int
    queued_at_ms: int
    eligible_at_ms: int | None
    size_bytes: int | None
    kind: str
    filepath: bytes


async def page(
    db: Database, stages: tuple[Stage, ...], state: str | None, now_ms: int, limit: int, offset: int
) -> tuple[list[Item], int]:
    """Return a page of what is in line for *stages*, one stage after the other, and how many there are in all.

    Within a stage: what goes nowhere by itself (parked, held) comes first, then whose turn is next.
    """
    ids: list[int] = []
    total = 0
    for stage in stages:
        count = int(await db.value(_COUNT, (stage, state, now_ms)))
        skip = max(0, offset - total)
        wanted = limit - len(ids)
        if wanted > 0 and skip < count:
            ids += [row[0] for row in await db.rows(_SOME, (stage, state, now_ms, wanted, skip))]
        total += count
    rows = await db.rows(_ROWS, (json.dumps(ids),)) if ids else []
    return [_item(row, now_ms) for row in rows], total


async def some(db: Database, ids: list[int], now_ms: int) -> list[Item]:
    """Return those of the files *ids* that are in line."""
    return [_item(row, now_ms) for row in await db.rows(_ROWS, (json.dumps(ids),))]


def _item(row: sqlite3.Row, now_ms: int) -> Item:
    fields = dict(row)
    parts = (fields.pop("shown").rstrip(b"/"), fields.pop("directory"), fields.pop("name"))
    if fields["state"] == WorkState.WAITING and fields["eligible_at_ms"] <= now_ms:
        fields["state"] = ELIGIBLE
    fields |= {"stage": Stage(fields["stage"]), "lane": Lane(fields["lane"])}
    return Item(**fields, filepath=b"/".join(part for n, part in enumerate(parts) if part or n == 0))
