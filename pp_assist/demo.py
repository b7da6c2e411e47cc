"""`make run`: a server and a daemon on this machine, everything under ./data, watching ./inbox. Ctrl+C stops both."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from pp_assist.asking import DaemonUnreachable, ask_daemon
from pp_assist.state import read_token

SERVER_PORT = os.environ.get("PP_DEMO_SERVER_PORT", "8100")
DAEMON_PORT = os.environ.get("PP_DEMO_DAEMON_PORT", "8765")
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
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell that starts us in the background has us ignore SIGINT
        signal.signal(number, _interrupt)
    try:
        _check_ports()
        server_command = ["pp_server", "run", "--data-dir", server_data, "--port", SERVER_PORT]
        daemon_command = ["pp_assist", "run", "--state-dir", state, "--port", DAEMON_PORT]
        with _process(server_command, os.path.join(data, "server.log")) as server:
            _wait_for(server, lambda: ask_daemon("GET", f"{SERVER_URL}/health", None))
            with _process(daemon_command, os.path.join(data, "assist.log")) as daemon:
                _wait_for(daemon, lambda: _ask("GET", "/status", read_token(state)))
                token = read_token(state)
                _set_up(token, server_data, inbox)
                _say(data, inbox, token)
                while server.alive and daemon.alive:
                    time.sleep(0.5)
                name = (daemon if server.alive else server).name
                raise DemoError(f"{name} was stopped, or ended by itself: its log says why")
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
            socket.create_server(("127.0.0.1", int(port))).close()
        except OSError as error:
            raise DemoError(f"port {port} is taken (another `make run`?); {variable}=... names another one") from error
        except (ValueError, OverflowError) as error:
            raise DemoError(f"{variable}={port}: not a port number") from error


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class _Program:
    """One of the two, running."""

    def __init__(self, command: list[str], log: str) -> None:
        self.name = f"{command[0]} (log: {os.path.relpath(log)})"
        with open(log, "ab") as output:
            program = [sys.executable, "-m", *command]
            self.process = subprocess.Popen(program, stdout=output, stderr=output, start_new_session=True)  # noqa: S603

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


@contextlib.contextmanager
def _process(command: list[str], log: str) -> Iterator[_Program]:
    """Run one of our programs for the block, in its own session: Ctrl+C reaches us alone, and we stop it in order."""
    program = _Program(command, log)
    try:
        yield program
    finally:
        program.process.terminate()
        try:
            program.process.wait(15)
        except subprocess.TimeoutExpired:
            program.process.kill()
            program.process.wait()


def _wait_for(program: _Program, ask: Callable[[], object]) -> None:
    """Return once *program* answers."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if not program.alive:
            raise DemoError(f"{program.name} did not start; its log says why")
        with contextlib.suppress(DaemonUnreachable, OSError):
            ask()
            return
        time.sleep(0.1)
    raise DemoError(f"{program.name} did not start in time; its log may say why")


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
