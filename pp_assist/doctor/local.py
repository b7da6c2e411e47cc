"""The state directory and what is in it. Blocking; changes nothing."""

import os
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing, suppress
from urllib.parse import quote

from pp_assist import state
from pp_assist.core.trust import Trust
from pp_assist.doctor.check import Check, failed, ok, skipped
from pp_assist.progress import amount

LEAST_FREE_BYTES = 512 << 20
OTHERS = 0o077
_DEFAULT_SERVER = "SELECT name, url, api_key, fingerprint, ca_file FROM servers WHERE is_default = 1"

_SECRETS = (
    "SELECT api_key FROM servers",
    "SELECT password, passphrase, json_extract(announce, '$.secret') FROM drop_folders",
)


class KnownServer:
    """The server that the daemon uploads to."""

    def __init__(self, name: str, url: str, api_key: str, fingerprint: str | None, ca_file: str | None) -> None:
        self.name = name
        self.url = url
        self.api_key = api_key
        self.trust = Trust(fingerprint, ca_file)


def directory(folder: str) -> Check:
    """Is the state directory ours alone, and can we write there?"""
    name, again = "state_directory", "choose another one with --state-dir, or PP_ASSIST_STATE_DIR"
    if not os.path.lexists(folder):
        above = folder
        while not os.path.lexists(above):
            above = os.path.dirname(above)
        if not os.path.isdir(above) or not _can_write(above):
            return failed(name, f"{folder} is not there, and cannot be made: {above} is not ours to write to", again)
        return ok(name, f"{folder} is not there yet; the daemon makes it")
    if not os.path.isdir(folder):
        return failed(name, f"{folder} is not a folder", again)
    seen = os.stat(folder)
    if sys.platform != "win32":
        if seen.st_uid != os.geteuid():
            return failed(name, f"{folder} belongs to another user", again)
        if seen.st_mode & OTHERS:
            return failed(name, f"others may look into {folder} (mode {seen.st_mode & 0o777:o})", f"chmod 700 {folder}")
    if not _can_write(folder):
        return failed(name, f"{folder} is not ours to write to", again)
    return ok(name, f"{folder} is ours alone")


def _can_write(folder: str) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def modes(folder: str) -> Check:
    """Can nobody else read what is secret?"""
    name = "file_modes"
    open_to_others: list[str] = []
    for above, _, files in os.walk(folder):
        for file in files:
            path = os.path.join(above, file)
            try:
                mode = os.lstat(path).st_mode
            except OSError:
                continue
            if sys.platform != "win32" and mode & OTHERS and file != "pp_assist.toml":
                open_to_others.append(os.path.relpath(path, folder))
    if open_to_others:
        shown = ", ".join(sorted(open_to_others)[:5])
        return failed(
            name, f"others may read {shown}", f"chmod -R go= {folder}; keys may have been read: make new ones"
        )
    return ok(name, "nobody else can read the daemon's files")


def disk_space(folder: str) -> Check:
    """Is there room?"""
    name = "disk_space"
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    usage = shutil.disk_usage(folder)
    text = f"{amount(usage.free)} free of {amount(usage.total)} where the daemon's files lie"
    if usage.free < LEAST_FREE_BYTES:
        return failed(name, text, "make room: the daemon stops working when the disk is full")
    return ok(name, text)


def database(folder: str) -> Check:
    """Is the database whole?"""
    name, path = "database", os.path.join(folder, state.DATABASE)
    if not os.path.exists(path):
        return skipped(name, "there is none yet")
    try:
        with closing(_opened(path)) as conn:
            said = [row[0] for row in conn.execute("PRAGMA quick_check(3)")]
            files = conn.execute("SELECT COUNT(*) FROM files").fetchone()[0]
    except sqlite3.Error as error:
        said, files = [str(error)], 0
    if said != ["ok"]:
        advice = "start the daemon: it puts the database aside and begins a new one; nothing is uploaded again for that"
        return failed(name, f"{path}: {said[0]}", advice)
    return ok(name, f"whole, {files} names are known")


def known_server(folder: str) -> KnownServer | None:
    """Return the server that the daemon uploads to; None where there is none, or nobody can say."""
    try:
        with closing(_opened(os.path.join(folder, state.DATABASE))) as conn:
            row = conn.execute(_DEFAULT_SERVER).fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else KnownServer(*row)


def secrets_in(folder: str) -> list[str]:
    """Return everything in the state directory that nobody may see."""
    found = []
    with suppress(OSError):
        found.append(state.read_token(folder))
    for sql in _SECRETS:
        with suppress(sqlite3.Error), closing(_opened(os.path.join(folder, state.DATABASE))) as conn:
            found += [each for row in conn.execute(sql) for each in row]
    return [each for each in found if each]


def _opened(path: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=ro", uri=True, timeout=10)


def daemon(folder: str, answer: tuple[int, object] | None) -> Check:
    """Does the daemon run, and answer? *answer* is what it said, if it did."""
    name = "daemon"
    from pp_assist.cli_daemon import is_running

    try:
        runs = is_running(folder)
    except OSError:
        runs = False
    if not runs:
        return skipped(name, "it does not run; pp_assist start")
    if answer is None:
        return failed(name, "it runs, and does not answer", "look into its log (pp_assist logs), or pp_assist restart")
    status, body = answer
    if status != 200 or not isinstance(body, dict):
        return failed(name, f"it answers {status}", "another program may have its port: pp_assist restart")
    if body.get("status") != "ok":
        return failed(name, f"it says {body.get('status')}", "its log says which component fails: pp_assist logs")
    return ok(name, f"version {body.get('version')} runs and answers")
