"""A rehearsal from end to end: a daemon and a tree of its own, odd names, events, a kill in mid-chunk. Blocking.

The server is the one that is configured, or one of its own where none is. What is sent to a real server are nine files,
under a host of their own; they are deleted again, as far as a server deletes.
"""

import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

from pp_assist.asking import DaemonUnreachable, ask_daemon
from pp_assist.doctor.check import Check, failed, ok, skipped
from pp_assist.doctor.local import KnownServer
from pp_assist.state import read_token
from pp_server.wire.names import to_query

NAMES = ("rehearsal", "odd_names", "watcher", "kill_and_resume", "read_back")
ODD = (b"caf\xe9", b"new\nline", b" spaces ", b"-rf", "nai\u0308ve \U0001f600".encode(), b"\\\"'$(x)", b"x" * 200)
LARGE_BYTES = 16 << 20
RATE_KIB_PER_S = 4096
ONE_CHUNK_BYTES = 1 << 20
"""No chunk of the large file is smaller; all others together are."""

PATIENCE_S = 60.0
EVENT_S = 20.0
START_S = 60.0
LOOK_S = 0.1
LOG_HINT = "the log of the rehearsal says more: pp_assist doctor --bundle FILE.zip"


class _Wrong(Exception):
    """A step did not go; the message says how."""


class Rehearsal:
    """See module. A context manager: everything is stopped and removed at its end."""

    def __init__(self, server: KnownServer | None, allow_http: bool) -> None:
        self._known = server
        self._allow_http = allow_http
        self._folder = ""
        self._daemon: subprocess.Popen[str] | None = None
        self._base = ""
        self._token = ""
        self._opened = ExitStack()
        self.log = ""

    def __enter__(self) -> "Rehearsal":
        self._folder = tempfile.mkdtemp(prefix="pp-doctor-")
        self._opened.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._tree = os.fsencode(os.path.join(self._folder, "tree"))
        os.mkdir(self._tree)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError), open(os.path.join(self._folder, "daemon.log"), encoding="utf-8") as file:
            self.log = file.read()
        self._opened.close()

    def checks(self) -> Iterator[Check]:
        """Yield each step as it was done; the first failure ends it."""
        steps = (self._begin, self._odd_names, self._watcher, self._kill, self._read_back)
        broken = False
        for name, step in zip(NAMES, steps, strict=True):
            if broken:
                yield skipped(name, "a step before it did not go")
                continue
            try:
                yield ok(name, step())
            except (_Wrong, OSError, DaemonUnreachable) as error:
                yield failed(name, str(error), _ADVICE.get(name, LOG_HINT))
                broken = name != "watcher"
        with suppress(_Wrong, OSError, DaemonUnreachable):
            self._tidy()

    # -- the steps

    def _begin(self) -> str:
        server = self._known or self._own_server()
        self._start()
        body: dict[str, Any] = {"name": "rehearsal", "url": server.url, "api_key": server.api_key}
        body |= {"fingerprint": server.trust.fingerprint} if server.trust.fingerprint else {}
        body |= {"ca_file": server.trust.ca_file} if server.trust.ca_file else {}
        self._ask("POST", "/servers", body)
        self._ask("POST", "/paths", {"path": os.fsdecode(self._tree)})
        return "a daemon of its own runs" + ("" if self._known else ", with a server of its own: none is configured")

    def _odd_names(self) -> str:
        taken = 0
        for number, name in enumerate(ODD):
            with (
                suppress(OSError),
                open(os.path.join(self._tree, name), "wb") as file,
            ):  # not every disk takes every name
                file.write(b"%d %s" % (number, secrets.token_bytes(16)))
                taken += 1
        self._ask("POST", "/scan/trigger", {"wait": True})
        self._until(lambda: self._stored() == taken, f"only some of {taken} files with odd names were stored")
        return f"{taken} files with odd names are stored"

    def _watcher(self) -> str:
        (path,) = self._ask("GET", "/paths")["paths"]
        before = self._stored()
        with open(os.path.join(self._tree, b"event"), "wb") as file:
            file.write(secrets.token_bytes(16))
        began_s = time.monotonic()
        try:
            self._until(lambda: self._stored() == before + 1, "", EVENT_S)
        except _Wrong:
            self._ask("POST", "/scan/trigger", {"wait": True})
            why = path["reason"] or "a change was not noticed"
            raise _Wrong(f"the system does not tell of changes: {why}") from None
        if path["status"] != "healthy":
            raise _Wrong(f"the system does not tell of all changes: {path['reason'] or path['status']}")
        return f"a new file was noticed by its event, and stored after {time.monotonic() - began_s:.1f} s"

    def _kill(self) -> str:
        sent = self._sent()
        with open(os.path.join(self._folder, "large"), "wb") as file:
            file.write(secrets.token_bytes(LARGE_BYTES))
        large = os.path.join(self._tree, b"large")
        os.rename(file.name, large)
        self._ask("POST", "/scan/trigger", {})
        self._until(lambda: self._sent() >= sent + ONE_CHUNK_BYTES, "nothing of a large file was sent")
        whole = self._is_stored(large)
        self._end(getattr(signal, "SIGKILL", signal.SIGTERM))
        self._start()
        self._until(lambda: self._is_stored(large), "after a kill, the large file was not stored")
        again = self._sent()
        if not whole and again >= LARGE_BYTES:
            raise _Wrong("after a kill, the large file was sent from its beginning")
        return f"killed in a file of {LARGE_BYTES >> 20} MiB, it sent {again / 2**20:.0f} MiB of it afterwards"

    def _read_back(self) -> str:
        nonce = secrets.token_hex(16)
        proofs = {}
        for name in os.listdir(self._tree):
            with open(os.path.join(self._tree, name), "rb") as file:
                content = file.read()
            proofs[hashlib.sha256(content).hexdigest()] = hashlib.sha256(bytes.fromhex(nonce) + content).hexdigest()
        answer = self._ask("POST", "/verify", {"sha256": list(proofs), "nonce": nonce})
        if answer["retry_after_seconds"] is not None:
            return "not tried: the server has read enough for us just now"
        wrong = [each["status"] for each in answer["results"] if each["proof"] != proofs[each["sha256"]]]
        if wrong:
            raise _Wrong(f"the server has {len(wrong)} of {len(proofs)} files not as they were sent: {wrong[0]}")
        return f"the server has read all {len(proofs)} files from its disk, as they were sent"

    def _tidy(self) -> None:
        """Have the server told that all of it is gone."""
        if self._known is None or self._daemon is None:
            return
        for name in os.listdir(self._tree):
            os.unlink(os.path.join(self._tree, name))
        self._ask("POST", "/scan/trigger", {"wait": True})
        self._until(lambda: not any(queue["count"] for queue in self._ask("GET", "/stats")["queues"].values()), "", 10)

    # -- its own daemon and server

    def _start(self) -> None:
        knobs = {
            "SCANNER__SCAN_INTERVAL": "3600",
            "SCANNER__QUIET_SECONDS": "0.2",
            "SCANNER__DELETE_GRACE_SECONDS": "0.3",
            "UPLOADER__BANDWIDTH_KIB_PER_SECOND": str(RATE_KIB_PER_S),
            "UPLOADER__ALLOW_HTTP": str(self._allow_http).lower(),
            "HOSTNAME": "pp_assist doctor",
        }
        given = {f"PP_ASSIST_{name}": value for name, value in knobs.items()}
        events = os.environ.get("PP_ASSIST_SCANNER__USE_FILESYSTEM_EVENTS")
        given |= {"PP_ASSIST_SCANNER__USE_FILESYSTEM_EVENTS": events} if events else {}
        state = os.path.join(self._folder, "state")
        command = ["pp_assist", "run", "--state-dir", state, "--port", "0"]
        self._daemon, said = self._program(command, "daemon.log", given)
        self._opened.callback(self._end, signal.SIGTERM)
        self._base = said.split(" on ", 1)[1].split()[0]
        self._token = read_token(state)

    def _own_server(self) -> KnownServer:
        data = os.path.join(self._folder, "server")
        server, said = self._program(["pp_server", "run", "--data-dir", data, "--port", "0"], "server.log", {})
        self._opened.callback(_stop, server, signal.SIGTERM)
        create = ["pp_server", "key", "create", "--data-dir", data, "--name", "doctor", "--json"]
        command = [sys.executable, "-m", *create]
        made = subprocess.run(command, capture_output=True, check=False, env=_clean(), cwd=self._folder)  # noqa: S603
        if made.returncode:
            raise _Wrong(f"no key could be made: {made.stderr.decode(errors='replace').strip()}")
        key = str(json.loads(made.stdout)["api_key"])
        return KnownServer("own", said.split(" on ", 1)[1].split()[0], key, None, None)

    def _program(self, command: list[str], log: str, given: dict[str, str]) -> tuple[subprocess.Popen[str], str]:
        """Start one of our programs; return it and the line that says where it listens."""
        with open(os.path.join(self._folder, log), "ab") as output:
            process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                cwd=self._folder,
                env=_clean() | given,
                start_new_session=True,
            )
        assert process.stdout is not None
        too_late = threading.Timer(START_S, process.kill)
        too_late.start()
        with process.stdout as stdout:
            said = stdout.readline()
        too_late.cancel()
        if " on " not in said:
            _stop(process, signal.SIGTERM)
            with open(os.path.join(self._folder, log), encoding="utf-8", errors="replace") as file:
                lines = file.read().strip().splitlines()
            raise _Wrong(f"{command[0]} does not start: {lines[-1] if lines else 'it says nothing'}")
        return process, said

    def _end(self, number: signal.Signals) -> None:
        if self._daemon is not None:
            _stop(self._daemon, number)
            self._daemon = None

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = ask_daemon(method, self._base + path, self._token, body, timeout_s=90)
        if status >= 400:
            raise _Wrong(f"{method} {path}: {answer.get('detail', answer)}")
        return answer

    def _stored(self) -> int:
        files = self._ask("GET", "/stats")["files"]
        return int(files["completed"] + files["unchanged"])

    def _is_stored(self, path: bytes) -> bool:
        files = self._ask("GET", f"/files?path_prefix={to_query(path)}&limit=1")["files"]
        return bool(files) and files[0]["status"] in ("completed", "unchanged")

    def _sent(self) -> int:
        return int(self._ask("GET", "/stats")["components"]["uploader"]["bytes_sent"])

    def _until(self, done: Callable[[], bool], otherwise: str, patience_s: float = PATIENCE_S) -> None:
        end_s = time.monotonic() + patience_s
        while not done():
            if time.monotonic() > end_s:
                obstacle = self._ask("GET", "/status")["upload_obstacle"]
                raise _Wrong(otherwise + (f": {obstacle}" if obstacle else ""))
            time.sleep(LOOK_S)


_ADVICE = {
    "watcher": "raise fs.inotify.max_user_watches and max_user_instances (sysctl), and have "
    "scanner.use_filesystem_events true; without events, only scans find changes",
}


def _clean() -> dict[str, str]:
    """Return our environment without what would configure the programs."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("PP_")}


def _stop(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
