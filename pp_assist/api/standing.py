"""How it stands: gathered from everybody, for the routes that say so."""

from dataclasses import asdict
from typing import Any

from pp_assist.api.services import Services
from pp_assist.core.model import FileState, Root, Stage, WorkState
from pp_assist.core.summary import Folder, Standing, Summary, summary
from pp_assist.store.counting import Counts
from pp_server.wire.names import display, json_fields
from pp_server.wire.times import iso

TO_STORE = (Stage.CHECKSUM, Stage.UPLOAD)
DELETING = (Stage.VANISHED, Stage.DELETION)


def condition(root: Root, services: Services) -> tuple[str, str | None]:
    """Return how a watched folder stands, and why."""
    if root.status == "unhealthy":
        return "unhealthy", root.reason
    problem = services.drop_folders.problem(root.id)
    return services.scanner.condition(root.id) if problem is None else ("unhealthy", problem)


async def how_it_stands(services: Services, counts: Counts) -> Summary:
    """Return it, in a sentence."""
    ledger = services.ledger()
    folders = []
    for root in await services.roots.all():
        if root.enabled:
            status, reason = condition(root, services)
            entry = ledger.get(root.id)
            tally = entry.tally if entry else None
            differs, unread = (tally.difference, tally.unread_directories) if tally else (None, 0)
            is_scanned = root.last_scanned_at_ms is not None
            folders.append(Folder(display(root.shown), status, reason, is_scanned, differs, unread))
    return summary(
        Standing(
            files=counts.tracked,
            stored=counts.files[FileState.COMPLETED] + counts.files[FileState.UNCHANGED],
            to_do=_to_do(counts) + services.drop_folders.to_do,
            parked=counts.in_state(WorkState.PARKED, *Stage),
            held=counts.in_state(WorkState.HELD, *TO_STORE),
            held_deletions=counts.held_deletions,
            obstacle=services.upload_obstacle(),
            to_compare=await services.report.roots_to_compare(),
            folders=folders,
            stopped=[name for name, works in services.running().items() if not works],
        )
    )


def _to_do(counts: Counts) -> int:
    """Return the rows of work, without the folders and links that are held with files: they go with these."""
    with_files = counts.in_state(WorkState.HELD, *DELETING) - counts.held_deletions
    return counts.queued(*Stage) - (with_files if counts.held_deletions else 0)


def shown(found: Summary) -> dict[str, Any]:
    """Return a summary as it is told."""
    return {"state": found.state, "text": found.text, "reasons": [each._asdict() for each in found.reasons]}


async def ledger_shown(services: Services) -> list[dict[str, Any]]:
    """Return the ledger as it is told, a watched folder each."""
    entries = services.ledger()
    found = []
    for root in await services.roots.all():
        if (entry := entries.get(root.id)) is None:
            continue
        counted, tally = entry.counted, entry.tally
        found.append(
            {
                "path_id": root.id,
                **json_fields(root.shown, "path"),
                "stored": counted.stored,
                "pending": counted.pending,
                "excluded": counted.excluded,
                "unsupported": counted.unsupported,
                "missing": counted.missing,
                "reasons": dict(counted.reasons),
                "files": {**asdict(counted.files), "excluded": counted.excluded, "unsupported": counted.unsupported},
                "counted_at": iso(entry.counted_at_ms),
                "last_scan": None
                if tally is None
                else {
                    "ended_at": iso(tally.ended_at_ms),
                    "on_disk": tally.on_disk,
                    "unread_directories": tally.unread_directories,
                    "difference": tally.difference,
                },
            }
        )
    return found
