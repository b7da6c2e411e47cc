"""`pp_assist start`, `stop`, `restart`, `logs`, `purge`: the daemon in the background, and its own files."""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from typing import Any

from pp_assist import ourselves, posix, state
from pp_assist.cli_asking import FAILED, OK, REFUSED, USAGE, CommandError, ask, settings_of, show

STOP_S = 60.0
LOOK_S = 0.1
LOG = os.path.join("logs", "pp_assist.log")


def add_commands(commands: Any, command: Any) -> None:
    """Add them to the parser."""
    start = command("start", _start, "run the daemon in the background; its log is STATE/logs/pp_assist.log")
    restart = command("restart", _restart, "stop the daemon, and start it again")
    for each in (start, restart):
        each.add_argument("--port", type=int, help="port of the local API (default 8765)")
    command("stop", _stop, "stop the daemon, and wait until it has ended")
    logs = command("logs", _logs, "print the log of a daemon that was started in the background")
    logs.add_argument("-f", "--follow", action="store_true", help="go on printing what is added")
    logs.add_argument("-n", "--lines", type=int, default=100, help="only the last so many (default 100)")
    purge = command("purge", _purge, "remove all of the daemon's own files on this machine; nothing on the server")
    purge.add_argument("--yes", action="store_true", help="do not ask")


def _start(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    if is_running(settings.state_dir):
        raise CommandError(f"a daemon is already running on {settings.state_dir}", REFUSED)
    log = os.path.join(settings.state_dir, LOG)
    command = [*ourselves.command(), "run", "--log-file", log, "--state-dir", settings.state_dir]
    if args.config:
        command += ["--config", os.path.abspath(args.config)]
    if args.port is not None:
        command += ["--port", str(args.port)]
    with tempfile.TemporaryFile("w+") as trouble:  # no pipe: it must go on when we are gone
        process = subprocess.Popen(  # noqa: S603 - ourselves
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=trouble,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        with process.stdout as stdout:
            said = stdout.readline()  # one line, as soon as it is ready; nothing if it ends
        if not said:
            code = process.wait()
            trouble.seek(0)
            text = trouble.read().strip().removeprefix("pp_assist: ") or f"it ended at once; see {log}"
            raise CommandError(text, code if code in (FAILED, USAGE, REFUSED) else FAILED)
    process.returncode = 0  # it is not ours to wait for
    url = re.search(r"http://\S+", said)
    answer = {"status": "started", "url": url and url[0], "state_dir": settings.state_dir, "log": log}
    show(args, answer, lambda: [said.strip(), f"log: {log}"])
    return OK


def _stop(args: argparse.Namespace) -> int:
    if _stopped(args):
        show(args, {"status": "stopped"}, lambda: ["stopped"])
    else:
        folder = settings_of(args).state_dir
        show(args, {"status": "not_running"}, lambda: [f"no daemon is running on {folder}"])
    return OK


def _stopped(args: argparse.Namespace) -> bool:
    """Stop the daemon; say whether there was one."""
    settings = settings_of(args)
    if not is_running(settings.state_dir):
        return False
    ask(args, "POST", "/stop")
    end = time.monotonic() + max(STOP_S, settings.daemon.shutdown_timeout + 10)
    while is_running(settings.state_dir):
        if time.monotonic() > end:
            raise CommandError("it was told to stop, and still runs")
        time.sleep(LOOK_S)
    return True


def _restart(args: argparse.Namespace) -> int:
    if _stopped(args) and not args.json:
        print("stopped", flush=True)
    return _start(args)


def _logs(args: argparse.Namespace) -> int:
    path = os.path.join(settings_of(args).state_dir, LOG)
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open(path, encoding="utf-8", errors="replace"))
            sys.stdout.writelines(_shown(args, line) for line in deque(file, maxlen=max(args.lines, 0)))
            while args.follow:
                sys.stdout.flush()
                if line := file.readline():
                    sys.stdout.write(_shown(args, line))
                    continue
                time.sleep(LOOK_S)
                if os.stat(path).st_ino != os.fstat(file.fileno()).st_ino:  # the log was turned over
                    file = stack.enter_context(open(path, encoding="utf-8", errors="replace"))
    except OSError as error:
        text = f"{path}: {error.strerror}; a daemon that `pp_assist run` runs logs to where that was started"
        raise CommandError(text) from error
    except KeyboardInterrupt:
        pass
    return OK


def _shown(args: argparse.Namespace, line: str) -> str:
    return json.dumps({"line": line.rstrip("\n")}, ensure_ascii=False) + "\n" if args.json else line


def _purge(args: argparse.Namespace) -> int:
    folder = settings_of(args).state_dir
    if not os.path.isfile(os.path.join(folder, state.HOST_ID)) or os.path.islink(folder):
        raise CommandError(f"{folder} is no state directory of ours", REFUSED)
    if is_running(folder):
        raise CommandError(f"a daemon is running on {folder}: pp_assist stop", REFUSED)
    if not args.yes and args.json:
        raise CommandError("--json asks nothing: say --yes", USAGE)
    if not args.json:
        print(f"This removes {folder}: what is watched, what is known of each file, receipts, servers with their keys.")
        print("Your files, and everything on the server, stay as they are.")
    if not args.yes and input("Type purge to go on: ").strip() != "purge":
        raise CommandError("nothing was removed", REFUSED)
    shutil.rmtree(folder)
    show(args, {"status": "removed", "state_dir": folder}, lambda: ["removed"])
    return OK


def is_running(folder: str) -> bool:
    """Say whether a daemon has the state directory *folder*."""
    lock = os.path.join(folder, state.LOCK)
    if not os.path.exists(lock):
        return False
    fd = posix.lock_file(lock)
    if fd is None:
        return True
    os.close(fd)
    return False
