"""Threads that step back: what they compute and read comes after what others on the machine do."""

import ctypes
import logging
import os
import platform
import sys
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

NICE = 10
"""As `nice` does by default: a tenth of what others get, and all of it where nobody else wants any."""

_IO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
"""The system call, by machine: neither Python nor the C library has a function for it."""
_THREAD, _BEST_EFFORT, _LAST = 1, 2, 7


def step_back() -> None:
    """Let this thread, alone, come after others; for good. Only Linux can: elsewhere nothing is done."""
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    lowest = min(19, os.getpriority(os.PRIO_PROCESS, thread) + NICE)
    _try("compute", lambda: os.setpriority(os.PRIO_PROCESS, thread, lowest))
    if (number := _IO_SET.get(platform.machine())) is not None:
        _try("read", lambda: _call(number, _THREAD, thread, _BEST_EFFORT << 13 | _LAST))


def _call(*numbers: int) -> None:
    if ctypes.CDLL(None, use_errno=True).syscall(*map(ctypes.c_long, numbers)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _try(what: str, change: Callable[[], None]) -> None:
    try:
        change()
    except OSError as error:  # where a container forbids it, we work as everybody does
        log.info("large files are hashed no later than others %s: %s", what, error)
