"""`pp_assist add`: watch a folder and, if asked to, stay until everything in it is stored."""

import argparse
import os
import time
from dataclasses import dataclass
from typing import Any

from pp_assist import cli_sftp
from pp_assist.cli_asking import OK, PENDING, REFUSED, CommandError, ask, named, printable, show
from pp_assist.cli_parsing import INTERRUPTED
from pp_assist.progress import Show, amount, progress

POLL_S = 0.3
SURE_S = 5.0
"""What stands still for this long, and for a reason that does not go away by itself, is not waited for any longer."""

WAITING = ("discovered", "ready_for_upload")
SHOWN = 20
MOST = 1000
"""Files that are looked at one by one."""

OF_A_PERSON = {
    "no_server": "no server is known: pp_assist server add",
    "needs_login": "the server does not accept the key",
    "not_allowed": "the key may not do this",
    "server_untrusted": "the server's certificate is not believed",
    "receipt_key_changed": "the server signs with another key than before",
    "paused": "you paused it: pp_assist resume",
}
"""Reasons why nothing is sent, until a person does something."""


NEVER = {"busy": "it changes all the time", "held_by_person": "you hold it back", "cancelled": "you cancelled it"}
"""Reasons that do not go away by themselves."""


def add_commands(commands: Any, command: Any) -> None:
    """Add it to the parser."""
    add = command("add", _add, "watch a folder; with --wait, exit 5 if something in it cannot be stored")
    add.add_argument("path")
    add.add_argument("--no-recursive", action="store_true", help="only the files directly in it")
    add.add_argument(
        "--exclude", action="append", metavar="PATTERN", help="leave this out, as .gitignore would; again for more"
    )
    cli_sftp.add_drop_folder(add)
    add.add_argument("--archive", action="store_true", help="never tell the server that a file was deleted")
    add.add_argument("--wait", action="store_true", help="show how far it is until all of it is stored")


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a watched folder is."""

    files: int
    waiting: int
    """Files that are not stored yet."""
    others_waiting: int
    """Folders and links that are not, once no file waits."""
    is_scanned: bool
    obstacle: str | None
    """Why nothing goes on until a person acts."""
    failed: tuple[Any, ...]
    """Where nothing is left but what has failed: that."""

    @property
    def is_done(self) -> bool:
        """Whether everything is stored."""
        return self.is_scanned and not self.waiting and not self.others_waiting and not self.obstacle

    @property
    def why_stuck(self) -> str | None:
        """Why waiting is of no use, if it is not."""
        if self.obstacle:
            return self.obstacle
        count = self.waiting or self.others_waiting
        return f"{count} cannot be stored as they are" if self.is_scanned and self.failed else None


def _add(args: argparse.Namespace) -> int:
    policy = "archive" if args.archive else "mirror"
    wanted = {"recursive": not args.no_recursive, "policy": policy, "exclude": args.exclude or []}
    wanted |= cli_sftp.drop_folder(args)
    added = None
    try:
        try:
            added = ask(args, "POST", "/paths", named(args.path) | wanted)
            if not args.json:
                print(f"watching {printable(added['path'])} (id {added['id']})", flush=True)
        except CommandError as error:
            if not args.wait or error.code != "path_exists":
                raise
            added = _known(args)
        if not args.wait:
            if args.json:
                show(args, added, list)
            return OK
        standing = _wait(args, added, _look_of_before(added))
    except KeyboardInterrupt:
        if added is None:
            raise
        text = f"{args.path} stays watched, and the daemon goes on: pp_assist status"
        raise CommandError(text, INTERRUPTED, "interrupted") from None
    answer = ask(args, "GET", f"/paths/{added['id']}") | _told(standing)
    show(args, answer, lambda: _lines(standing))
    return OK if standing.is_done else PENDING


def _known(args: argparse.Namespace) -> Any:
    """Return the folder that is watched already, once it was scanned anew."""
    from pp_server.wire.names import from_json

    wanted, meant = named(args.path), _resolved(os.fsencode(args.path))
    for found in ask(args, "GET", "/paths")["paths"]:
        if _resolved(from_json(found["path"], found.get("path_b64"))) == meant:
            break
    else:
        raise CommandError(f"{args.path} is not watched any more", REFUSED)
    with progress(quiet=args.json) as shown:
        shown(0, None, "scanning")
        ask(args, "POST", "/scan/trigger", wanted | {"wait": True}, timeout_s=24 * 3600)
    return found


def _resolved(path: bytes) -> bytes:
    """Return what is the same for all spellings of a folder."""
    from pp_assist.core.sftp_url import is_sftp

    return path.rstrip(b"/") if is_sftp(path) else os.path.realpath(os.path.expanduser(path))


def _look_of_before(path: Any) -> str | None:
    """Return when a drop folder was last looked at: what is there now is known only at a later look."""
    return (path.get("sftp") or {}).get("last_look_at")


def _wait(args: argparse.Namespace, path: Any, look_before: str | None) -> Standing:
    """Return how the folder stands once there is nothing to wait for any more."""
    began_bytes, stuck_since_s = _bytes_sent(args), 0.0
    stuck_why, standing = None, None
    with progress(quiet=args.json) as shown:
        while True:
            asked_s = time.monotonic()
            standing = _look(args, path["id"], standing, look_before)
            took_s = time.monotonic() - asked_s
            if standing.is_done:
                return standing
            if standing.why_stuck != stuck_why:
                stuck_since_s, stuck_why = asked_s, standing.why_stuck
            if stuck_why and asked_s - stuck_since_s >= SURE_S:
                return standing
            _show(shown, standing, _bytes_sent(args) - began_bytes)
            time.sleep(max(POLL_S, 5 * took_s))  # counting a million files is work for the daemon


def _show(shown: Show, standing: Standing, sent_bytes: int) -> None:
    what = "" if standing.is_scanned else "still scanning, "
    total = standing.files if standing.is_scanned else None
    shown(max(0, standing.files - standing.waiting), total, f"{what}{amount(sent_bytes)} sent")


def _bytes_sent(args: argparse.Namespace) -> int:
    return int(ask(args, "GET", "/stats")["components"]["uploader"]["bytes_sent"])


def _look(args: argparse.Namespace, path_id: int, before: Standing | None, look_before: str | None) -> Standing:
    path, status = ask(args, "GET", f"/paths/{path_id}"), ask(args, "GET", "/status")
    waiting, others, failed = _waiting(args, path, "file"), 0, []
    if not waiting:
        others = _waiting(args, path, "any")
    remote = cli_sftp.on_its_way(path, look_before)
    if before and (waiting or others) and (waiting, others) == (before.waiting, before.others_waiting):
        failed = _failed(args, path, "file" if waiting else "any")
    obstacle = path["reason"] if path["status"] == "unhealthy" else OF_A_PERSON.get(status["upload_obstacle"])
    if status["upload_obstacle"] == "paused" and status["paused"] and status["paused"]["until"]:
        obstacle = None  # it ends by itself
    is_scanned = path["last_scanned_at"] is not None and remote.is_known
    if not obstacle and not waiting and not others and is_scanned and not remote.arriving:
        obstacle = remote.obstacle
    return Standing(
        path["file_count"], max(waiting, remote.arriving), others, is_scanned, obstacle, tuple(failed[:SHOWN])
    )


def _waiting(args: argparse.Namespace, path: Any, kind: str) -> int:
    """Return how many are not stored yet."""
    return sum(int(_page(args, path, kind, status, 1)["total"]) for status in WAITING)


def _failed(args: argparse.Namespace, path: Any, kind: str) -> list[Any]:
    """Return what was tried and did not go, or never rests, if nothing else is left; else nothing."""
    pages = [_page(args, path, kind, status, MOST) for status in WAITING]
    rows = [row for page in pages for row in page["files"]]
    is_all = len(rows) == sum(page["total"] for page in pages)
    return rows if is_all and all(row["last_error"] is not None or row["reason"] in NEVER for row in rows) else []


def _page(args: argparse.Namespace, path: Any, kind: str, status: str, limit: int) -> Any:
    from pp_server.wire.names import from_json, to_query

    folder = to_query(from_json(path["path"], path.get("path_b64")))
    return ask(args, "GET", f"/files?path_prefix={folder}&kind={kind}&status={status}&limit={limit}")


def _told(standing: Standing) -> dict[str, Any]:
    return {
        "stored": standing.files - standing.waiting,
        "pending": standing.waiting + standing.others_waiting,
        "stuck": standing.why_stuck,
        "failed": list(standing.failed),
    }


def _lines(standing: Standing) -> list[str]:
    stored = f"{standing.files - standing.waiting} of {standing.files} files stored"
    if standing.is_done:
        return [stored]
    more = standing.waiting - len(standing.failed)
    return [
        f"{stored}: {printable(standing.why_stuck or '')}",
        *(f"  {printable(_why(file))}" for file in standing.failed),
        *([f"  ... and {more} more (pp_assist files)"] if standing.failed and more > 0 else []),
    ]


def _why(file: Any) -> str:
    return f"{file['filepath']}: {file['last_error'] or NEVER[file['reason']]}"
