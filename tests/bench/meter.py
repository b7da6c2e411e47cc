"""What a run costs: wall time, CPU and memory of each side, bytes on the wire, flushes of the disk. Linux only."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
LOOK_S = 0.02
PEAKS = "5"
"""What /proc/PID/clear_refs takes to begin a new VmHWM."""


class CommandFailed(Exception):
    """A program ended with an error; the message has the end of what it said."""


@dataclass
class Spent:
    """What commands cost that have ended."""

    cpu_s: float = 0.0
    peak_rss_bytes: int = 0

    def run(
        self, command: list[str], environment: dict[str, str] | None = None, ok: tuple[int, ...] = (0,), cwd: str = "/"
    ) -> None:
        """Run a program to its end, and add what it and its children cost."""
        with (
            open(os.devnull) as nothing,
            subprocess.Popen(
                command,
                stdin=nothing,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=os.environ | (environment or {}),
                cwd=cwd,
            ) as process,
        ):
            assert process.stdout is not None
            ended = threading.Event()
            watcher = threading.Thread(target=self._watch_memory, args=(process.pid, ended))
            watcher.start()
            said = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            ended.set()
            watcher.join()
        self.cpu_s += usage.ru_utime + usage.ru_stime
        if process.returncode not in ok:
            raise CommandFailed(f"{' '.join(command)}: {process.returncode}: {said[-500:].decode(errors='replace')}")

    def _watch_memory(self, pid: int, ended: threading.Event) -> None:
        """Look again and again: the kernel's own maximum for a child has that of its parent before the exec in it."""
        while not ended.wait(LOOK_S):
            self.peak_rss_bytes = max(self.peak_rss_bytes, memory(below([pid]), "VmHWM"))


@dataclass(frozen=True)
class Figures:
    """What one step cost. None is what cannot be measured here."""

    wall_s: float
    client_cpu_s: float
    server_cpu_s: float
    machine_cpu_s: float
    """Of everything on this machine: much more than both sides' means that the run was disturbed."""
    client_rss_bytes: int
    server_rss_bytes: int
    wire_bytes: int | None
    flushes: int | None


@dataclass
class Meter:
    """Measures the block. Who takes part is asked at its beginning and at its end.

    `prepare` happens right before the clock starts. Whoever watches may begin with its work during it: CPU and bytes
    are counted from before.
    """

    clients: Callable[[], list[int]]
    servers: Callable[[], list[int]]
    commands: Spent
    flushes: Callable[[], int | None]
    prepare: Callable[[], object] = lambda: None
    figures: Figures | None = None
    _before: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> "Meter":
        os.sync()  # what earlier steps wrote is not to be written in this one
        for pid in below([*self.clients(), *self.servers()]):
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text(PEAKS)
        self.commands.peak_rss_bytes = 0
        self._before = self._readings()
        self.prepare()
        self._before["wall"] = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        before, now = self._before, self._readings()
        clients, servers = below(self.clients()), below(self.servers())
        self.figures = Figures(
            wall_s=round(now["wall"] - before["wall"], 3),
            client_cpu_s=round(now["clients"] - before["clients"], 3),
            server_cpu_s=round(now["servers"] - before["servers"], 3),
            machine_cpu_s=round(now["machine"] - before["machine"], 2),
            client_rss_bytes=max(self.commands.peak_rss_bytes, memory(clients, "VmHWM")),
            server_rss_bytes=memory(servers, "VmHWM"),
            wire_bytes=int(now["wire"] - before["wire"]) if "wire" in now else None,
            flushes=int(now["flushes"] - before["flushes"]) if "flushes" in now else None,
        )

    def _readings(self) -> dict[str, float]:
        found = {
            "wall": time.perf_counter(),
            "clients": cpu_s(below(self.clients())) + self.commands.cpu_s,
            "servers": cpu_s(below(self.servers())),
            "machine": machine_cpu_s(),
        }
        if (wire := loopback_bytes()) is not None:
            found["wire"] = wire
        if (flushes := self.flushes()) is not None:
            found["flushes"] = flushes
        return found


def below(pids: Iterable[int]) -> list[int]:
    """Return these processes and all that they started and did not end yet."""
    found, waiting = [], list(pids)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                waiting += [int(child) for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU time of processes, with that of children which have ended."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS_PER_S


def exact_cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU time of the living threads of processes, by the nanosecond: for what is nearly idle."""
    nanoseconds = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                nanoseconds += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def memory(pids: Iterable[int], what: str) -> int:
    """Return VmRSS or VmHWM of processes together, in bytes."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(f"{what}:"):
                    total += int(line.split()[1]) * 1024
    return total


def machine_cpu_s() -> float:
    """Return the CPU time that all processes and the kernel have used."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS_PER_S


def loopback_bytes() -> int | None:
    """Return how many bytes went through the loopback of this network namespace."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            return int(numbers.split()[0])
    return None


def on_disk(*places: Path) -> int:
    """Return the bytes that files and folders take on the disk."""
    total, folders = 0, [place for place in map(str, places) if os.path.isdir(place)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                total += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return total
