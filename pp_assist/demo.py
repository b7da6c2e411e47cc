"""`make run`: a server and a daemon on this machine, everything under ./data, watching ./inbox. Ctrl+C stops both."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from pp_assist.http import DaemonUnreachable, ask_daemon
from pp_assist.state import read_token

SERVER_PORT = int(os.environ.get("PP_DEMO_SERVER_PORT", "8100"))
DAEMON_PORT = int(os.environ.get("PP_DEMO_DAEMON_PORT", "8765"))
START_S = 20.0

SERVER_URL = f"http://127.0.0.1:{SERVER_PORT}"
DAEMON_URL = f"http://127.0.0.1:{DAEMON_PORT}"


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def main() -> int:
    """Run until Ctrl+C or until one of the two ends by itself."""
    data, inbox = os.path.abspath("data"), os.path.abspath("inbox")
    server_data, state = os.path.join(data, "server"), os.path.join(data, "assist")
    for folder in (data, inbox):
        os.makedirs(folder, exist_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _check_ports()
        server_command = ["pp_server", "run", "--data-dir", server_data, "--port", str(SERVER_PORT)]
        daemon_command = ["pp_assist", "run", "--state-dir", state, "--port", str(DAEMON_PORT)]
        with (
            _process(server_command, os.path.join(data, "server.log")) as server,
            _process(daemon_command, os.path.join(data, "assist.log")) as daemon,
        ):
            token = _started(server, daemon, state)
            _set_up(token, server_data, inbox)
            _say(data, inbox, token)
            while server.poll() is None and daemon.poll() is None:
                time.sleep(0.5)
            who = "the server" if server.poll() is not None else "the daemon"
            raise DemoError(f"{who} ended by itself; its log is in {data}")
    except KeyboardInterrupt:
        print("\nboth stopped; `make run` goes on where they were")
        return 0
    except DemoError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1


def _check_ports() -> None:
    """Make sure that whoever answers there later is ours."""
    for port, variable in ((SERVER_PORT, "PP_DEMO_SERVER_PORT"), (DAEMON_PORT, "PP_DEMO_DAEMON_PORT")):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            raise DemoError(f"port {port} is taken (another `make run`?); {variable}=... names another one") from error


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _process(command: list[str], log: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of our programs for the block, in its own session: Ctrl+C reaches us alone, and we stop it in order."""
    program = [sys.executable, "-m", *command]
    with open(log, "ab") as output:
        process = subprocess.Popen(program, stdout=output, stderr=output, start_new_session=True)  # noqa: S603
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _started(server: "subprocess.Popen[bytes]", daemon: "subprocess.Popen[bytes]", state: str) -> str:
    """Return the daemon's token once both answer."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        for name, process in (("server", server), ("daemon", daemon)):
            if process.poll() is not None:
                raise DemoError(f"the {name} did not start; data/{'assist' if name == 'daemon' else name}.log says why")
        with contextlib.suppress(DaemonUnreachable, OSError):
            token = read_token(state)
            ask_daemon("GET", f"{SERVER_URL}/health", None)
            ask_daemon("GET", f"{DAEMON_URL}/status", token)
            return token
        time.sleep(0.1)
    raise DemoError("the two did not start in time; their logs are in data/")


def _set_up(token: str, server_data: str, inbox: str) -> None:
    """Make the daemon know the server and the inbox, the first time."""
    if not _ask("GET", "/servers", token)["total"]:
        _ask("POST", "/servers", token, {"name": "local", "url": SERVER_URL, "api_key": _new_key(server_data)})
    if not any(path["path"] == inbox for path in _ask("GET", "/paths", token)["paths"]):
        _ask("POST", "/paths", token, {"path": inbox, "recursive": True})


def _new_key(server_data: str) -> str:
    command = [
        sys.executable,
        "-m",
        "pp_server",
        "key",
        "create",
        "--data-dir",
        server_data,
        "--name",
        "demo",
        "--json",
    ]
    made = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    if made.returncode:
        raise DemoError(f"no API key could be made: {made.stderr.decode(errors='replace').strip()}")
    return str(json.loads(made.stdout)["api_key"])


def _ask(method: str, path: str, token: str, body: Any = None) -> Any:
    status, answer = ask_daemon(method, DAEMON_URL + path, token, body)
    if status >= 400:
        raise DemoError(f"{method} {path}: {answer.get('detail', answer)}")
    return answer


def _say(data: str, inbox: str, token: str) -> None:
    files = _ask("GET", "/stats", token)["files"]
    short = os.path.relpath
    print(f"""
  server   {SERVER_URL}   (data in {short(data)}/server)
  daemon   {DAEMON_URL}   (state in {short(data)}/assist)
  watched  {inbox}   ({files["completed"] + files["unchanged"]} of {files["total"]} files stored)

  Try, in another terminal:
    cp README.md {short(inbox)}/
    .venv/bin/pp_assist files --state-dir {short(data)}/assist
    .venv/bin/pp_assist status --state-dir {short(data)}/assist

  Ctrl+C stops both.
""", flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
