"""One picture of what the daemon does. It draws what it is given, and asks nobody."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pp_assist.cli_asking import printable
from pp_assist.progress import amount

ROOTS, UNDER_WAY, EVENTS, REASONS = 8, 6, 10, 4
QUIET = {"server", "steered", "scan_started"}


def frame(
    stats: Any, status: Any, paths: Any, under_way: Sequence[Any], events: Iterable[Any], bytes_per_s: float
) -> RenderableType:
    """Return the picture."""
    parts = [
        Panel(_head(stats, status, bytes_per_s), title=f"pp_assist {status['version']} on {status['hostname']}"),
        Panel(_queues(stats), title="waiting"),
        Panel(_roots(paths), title="folders"),
        Panel(_under_way(under_way), title="under way"),
        Panel(_events(events), title="last"),
    ]
    return Group(*parts)


def _head(stats: Any, status: Any, bytes_per_s: float) -> RenderableType:
    files, uploader = stats["files"], stats["components"]["uploader"]
    stored, total = files["completed"] + files["unchanged"], files["total"]
    summary = status["summary"]
    style = "bold green" if summary["state"] == "up_to_date" else "bold yellow"
    parts: list[RenderableType] = [Text(printable(summary["text"]), style=style)]
    parts.append(ProgressBar(total=max(total, 1), completed=stored, width=60))
    sent = amount(uploader["bytes_sent"])
    parts.append(Text(f"{amount(bytes_per_s)}/s   {uploader['upload_rate']:.1f} files/s   {sent} sent"))
    parts += [
        Text(f"  {printable(reason['text'])}") for reason in summary["reasons"][1:REASONS]
    ]  # the text has the first
    parts += [Text(f"warning: {printable(warning['text'])}", style="red") for warning in status["warnings"]]
    lines = Table.grid()  # a bar alone ends no line
    for part in parts:
        lines.add_row(part)
    return lines


def _queues(stats: Any) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    for title in ("", "all", "backoff", "parked", "held", "oldest"):
        table.add_column(title, justify="left" if title in ("", "oldest") else "right")
    words = {"pending_checksum": "to hash", "pending_upload": "to upload", "pending_deletion": "deletions to tell"}
    for name, word in words.items():
        queue = stats["queues"][name]
        oldest = queue.get("oldest_queued_at") or queue.get("oldest_deleted_at") or ""
        counts = [f"{queue[each]:,}" for each in ("count", "backoff", "parked", "held")]
        table.add_row(word, *counts, oldest)
    return table


def _roots(paths: Any) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    for path in paths[:ROOTS]:
        style = {"healthy": "green", "unhealthy": "red"}.get(path["status"], "yellow")
        reason = f" ({path['reason']})" if path["reason"] else ""
        name = Text(printable(path["path"] + reason), overflow="ellipsis", no_wrap=True)
        table.add_row(Text(path["status"], style=style), f"{path['file_count']:,} files", name)
    if len(paths) > ROOTS:
        table.add_row("", "", f"... and {len(paths) - ROOTS} more")
    return table if paths else Text("none is watched: pp_assist add FOLDER")


def _under_way(items: Sequence[Any]) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    for item in sorted(items, key=lambda item: item["bytes_total"] or 0, reverse=True)[:UNDER_WAY]:
        total, sent = item["bytes_total"] or 0, item["bytes_sent"]
        name = Text(printable(item["filepath"]), overflow="ellipsis", no_wrap=True)
        percent = f"{100 * sent // max(total, 1):>3} %" if item["stage"] == "upload" else ""
        bar = ProgressBar(total=max(total, 1), completed=sent, width=20)
        table.add_row(_DOING.get(item["stage"], item["stage"]), bar, percent, amount(total), name)
    if len(items) > UNDER_WAY:
        table.add_row("", "", "", "", f"... and {len(items) - UNDER_WAY} more")
    return table if items else Text("nothing")


_DOING = {"checksum": "hashing", "upload": "uploading", "vanished": "looking again", "deletion": "telling"}


def _events(events: Iterable[Any]) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    told = [event for event in list(events) if event["event_type"] not in QUIET]
    for event in told[-EVENTS:]:
        what = event["event_type"].replace("_", " ") + (f" ×{event['count']}" if event["count"] > 1 else "")
        style = "red" if event["event_type"] in ("upload_failed", "sha256_failed", "error", "deletions_held") else ""
        name = Text(printable(event["filepath"] or event["message"] or ""), overflow="ellipsis", no_wrap=True)
        table.add_row(event["created_at"][11:19], Text(what, style=style), name)
    return table if told else Text("nothing has happened yet")
