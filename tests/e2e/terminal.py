"""Commands as a person runs them: on a terminal of their own, or interrupted in the middle."""

import contextlib
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable

from tests.e2e.harness import clean_environment


def on_a_terminal(
    command: list[str], timeout_s: float = 60.0, until: str | None = None, **environment: str
) -> tuple[int, str]:
    """Run *command* on a terminal; return its exit code and all it drew. Once it has drawn *until*, press Ctrl-C."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=clean_environment(TERM="xterm", **environment)
    )
    os.close(theirs)
    drawn = b""
    end = time.monotonic() + timeout_s
    with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
        while time.monotonic() < end and (piece := os.read(ours, 65536)):
            drawn += piece
            if until is not None and until.encode() in drawn:
                process.send_signal(signal.SIGINT)
                until = None
    os.close(ours)
    return process.wait(timeout_s), drawn.decode(errors="replace")


def interrupted(
    command: list[str], when: Callable[["subprocess.Popen[str]"], object], timeout_s: float = 60.0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run *command*, press Ctrl-C once *when* returns, and return what came of it."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(**environment)
    )
    when(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=timeout_s)
    return subprocess.CompletedProcess(command, process.returncode, out, err)
