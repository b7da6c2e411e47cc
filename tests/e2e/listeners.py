"""Sixteen listen to a daemon with much to tell: eight by WebSocket, eight by server-sent events; one never reads."""

import asyncio
import contextlib
import json
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import websockets

from tests.e2e.harness import MIB, Daemon, World, eventually

OF_EACH_KIND = 8
PREFIX = "/told/"


class Telling(Daemon):
    """`pp_assist run` with somebody in it who tells much."""

    def __init__(self, folder: Path, count: int, rate: float, **environment: str) -> None:
        root = str(Path(__file__).parents[2])
        super().__init__(folder, PYTHONPATH=root, **environment)
        self.telling = [str(count), str(rate)]

    def command(self, *more: str) -> list[str]:
        """Return the command line that runs this program."""
        if more[:1] != ("run",):
            return super().command(*more)
        return [sys.executable, "-m", "tests.e2e.telling", *self.telling, *more]


@dataclass
class Heard:
    """What one listener was told, in this order."""

    numbers: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    """Of all that is kept, streams only."""
    kinds: set[str] = field(default_factory=set)
    cuts: int = 0

    def note(self, kind: str, filepath: str | None) -> None:
        """Note one event."""
        self.kinds.add(kind)
        if kind in ("upload_complete", "upload_completed") and (filepath or "").startswith(PREFIX):
            self.numbers.append(int((filepath or "").removeprefix(PREFIX)))


@dataclass
class Listening:
    """What came of it."""

    listeners: int
    events: int
    seconds: float
    files_stored: int
    cuts_and_resumptions: int
    received: int
    rss_before_mib: int
    rss_peak_mib: int
    stalled_cut_after_s: float | None
    unanswered_s: list[float]


class Crowd:
    """The listeners."""

    def __init__(self, daemon: Daemon, events: int) -> None:
        self._daemon = daemon
        self._events = events
        self._head = {"Authorization": f"Bearer {daemon.token}"}
        self._ready = asyncio.Semaphore(0)
        self.began = 0.0
        self.unanswered_s: list[float] = []
        """How long those waited that were not answered at all: they ask again."""

    async def ready(self) -> None:
        """Return once one more of them listens."""
        await self._ready.acquire()

    async def by_socket(self) -> Heard:
        """Listen until the last event is told."""
        heard = Heard()
        async with websockets.connect(
            f"ws://127.0.0.1:{self._daemon.port}/ws/progress", additional_headers=self._head, proxy=None
        ) as told:
            self._ready.release()
            while not self._is_all(heard):
                said = json.loads(await told.recv())
                heard.note(said["type"], said.get("filepath"))
        return heard

    async def by_stream(self, last_id: int, cut_every: int = 0) -> Heard:
        """Listen from *last_id* on; cut it now and then, after about so many events, and go on behind the last one."""
        heard = Heard()
        rng = random.Random(cut_every)
        while not self._is_all(heard):
            reader, writer = await self.stream(last_id)
            if not heard.cuts:
                self._ready.release()
            left = rng.randrange(1, 2 * cut_every) if cut_every else 1 << 60
            try:
                while left > 0 and not self._is_all(heard):
                    frame = await _frame(reader)
                    if "id" in frame:
                        event = json.loads(frame["data"])
                        last_id = int(frame["id"])
                        heard.ids.append(last_id)
                        heard.note(event["event_type"], event["filepath"])
                        left -= 1
            finally:
                writer.transport.abort()
            heard.cuts += left <= 0
        return heard

    async def stream(self, last_id: int, small: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a stream of what is kept, its head read; *small*: with hardly any room for what is not read."""
        plug = socket.socket()
        if small:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.to_thread(plug.connect, ("127.0.0.1", self._daemon.port))
        limit = 1 if small else 1 << 20
        reader, writer = await asyncio.open_connection(sock=plug, limit=limit)
        kept = "&".join(f"event_type={kind}" for kind in ("upload_complete", "file_discovered", "sha256_complete"))
        lines = [
            f"GET /activity/stream?{kept} HTTP/1.1", f"Host: 127.0.0.1:{self._daemon.port}",
            f"Authorization: {self._head['Authorization']}", f"Last-Event-ID: {last_id}", "", "",
        ]  # fmt: skip
        writer.write("\r\n".join(lines).encode())
        head = b""
        if not small:
            asked = time.monotonic()
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                head = await reader.readuntil(b"\r\n\r\n")
            if not head:
                self.unanswered_s.append(round(time.monotonic() - asked, 1))
            if not head or head.startswith(
                b"HTTP/1.1 503 "
            ):  # it may not know yet that whoever had this place has gone
                writer.transport.abort()
                await asyncio.sleep(0.05)
                return await self.stream(last_id)
            assert head.startswith(b"HTTP/1.1 200 "), head
        return reader, writer

    async def stalled(self, last_id: int, until_cut_s: float) -> float | None:
        """Ask, and read nothing until *until_cut_s* have passed or it is cut; say after which time it was."""
        reader, writer = await self.stream(last_id, small=True)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        self._ready.release()
        here = writer.get_extra_info("sockname")[1]
        end = time.monotonic() + until_cut_s
        cut_after_s = None
        while time.monotonic() < end and cut_after_s is None:
            await asyncio.sleep(0.1)
            if self.began and _is_cut(self._daemon.port, here):
                cut_after_s = time.monotonic() - self.began
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        if cut_after_s is not None:  # and whoever reads at last is told that there is no more
            async with asyncio.timeout(30):
                with contextlib.suppress(ConnectionError):
                    while await reader.read(1 << 16):
                        pass
        writer.transport.abort()
        return cut_after_s

    def _is_all(self, heard: Heard) -> bool:
        return bool(heard.numbers) and heard.numbers[-1] == self._events - 1


def _is_cut(port: int, other: int) -> bool:
    """Say whether the daemon has let go of a connection: what it had sent before may be on its way for ever."""
    ends = [f":{number:04X}" for number in (port, other)]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, state, *_ = line.split()
        if [here[-5:], there[-5:]] == ends:
            return state != "01"
    return True


async def _frame(reader: asyncio.StreamReader) -> dict[str, str]:
    """Return one event of a stream: pieces of it are chunks of HTTP, whose sizes stand in lines of their own."""
    found: dict[str, str] = {}
    while True:
        line = (await reader.readline()).decode()
        if not line:
            raise ConnectionResetError("the stream ended")
        name, colon, value = line.rstrip("\r\n").partition(": ")
        if colon and name in ("id", "event", "data"):
            found[name] = value
        elif found and "data" in found:
            return found


def listen(
    folder: Path, events: int, rate: float, until_cut_s: float, files: int = 500, say: Callable[[str], None] = print
) -> Listening:
    """Have sixteen listen while so many events are told, and files are stored; what is missed or comes twice raises."""
    made = World(folder)
    made.daemon = daemon = Telling(folder, events, rate, PP_ASSIST_SCANNER__QUIET_SECONDS="0.3")
    try:
        made.begin()
        return asyncio.run(_listen(made, daemon, events, until_cut_s, files, say))
    except BaseException:
        print(made.logs())
        raise
    finally:
        made.close()


async def _listen(
    made: World, daemon: Telling, events: int, until_cut_s: float, files: int, say: Callable[[str], None]
) -> Listening:
    before_all = (await asyncio.to_thread(daemon.ask, "GET", "/activity?limit=1"))["events"]
    last_id = before_all[0]["id"] if before_all else 0
    crowd = Crowd(daemon, events)
    sockets = [asyncio.create_task(crowd.by_socket()) for _ in range(OF_EACH_KIND)]
    cuts = [0] * (OF_EACH_KIND - 4) + [events // 7, events // 20, events // 50]
    streams = [asyncio.create_task(crowd.by_stream(last_id, each)) for each in cuts]
    stalled = asyncio.create_task(crowd.stalled(last_id, until_cut_s))
    for _ in range(2 * OF_EACH_KIND):
        await crowd.ready()
    daemon.note_rss()
    before = daemon.peak_rss_bytes
    crowd.began = time.monotonic()
    assert daemon.process
    daemon.process.send_signal(signal.SIGUSR1)
    for number in range(files):
        made.write(f"{number % 10}/{number}", b"%d" % number)
        await asyncio.sleep(0.01)
    heard = [*await asyncio.gather(*sockets), *await asyncio.gather(*streams)]
    seconds = time.monotonic() - crowd.began
    say(f"{seconds:6.1f} s  all that was told has come to those who read")
    expected = list(range(events))
    for each in heard:
        assert each.numbers == expected, "missed, told twice, or in another order"
    by_stream = heard[OF_EACH_KIND:]
    of_all = by_stream[0].ids
    for each in by_stream:
        assert each.ids == sorted(set(each.ids)), "told twice"
        common = min(len(of_all), len(each.ids))
        assert each.ids[:common] == of_all[:common], "a stream that was cut has missed something"
    cut_after_s = await stalled
    say(f"the one who never read was cut after {cut_after_s and round(cut_after_s)} s")
    _, writer = await crowd.stream(last_id)  # its place is free again
    writer.transport.abort()
    await asyncio.to_thread(
        eventually, lambda: daemon.stats()["files"]["completed"] + daemon.stats()["files"]["unchanged"] == files, 120.0
    )
    daemon.note_rss()
    return Listening(
        2 * OF_EACH_KIND, events, round(seconds, 1), files, sum(each.cuts for each in by_stream),
        sum(len(each.numbers) for each in heard), before // MIB, daemon.peak_rss_bytes // MIB,
        cut_after_s and round(cut_after_s, 1), crowd.unanswered_s,
    )  # fmt: skip
