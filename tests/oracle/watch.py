"""A crowd at a server that is killed every now and then, watched by the oracle to the end."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.harness import MIB, Server
from tests.oracle.crowd import Crowd
from tests.oracle.customer import Taste
from tests.oracle.oracle import Fact, Oracle
from tests.oracle.receipts_log import check_log

MOST_BYTES = 64 * MIB
LARGE = 0.04
KILL_EVERY_S = 20.0


def any_size(rng: random.Random) -> int:
    """Return a size: even among orders of magnitude, up to 64 KiB; now and then up to 64 MiB."""
    most = MOST_BYTES if rng.random() < LARGE else 64 * 1024
    return int(most ** rng.random()) - 1 if rng.random() < 0.99 else most


TASTE = Taste(paths=40, size=any_size, geometry={"max_chunk_size": 4 * MIB}, known=0.3, give_up=0.05, stop_midway=0.05)


@dataclass
class Watched:
    """What was seen."""

    clients: int
    kills: int = 0
    acknowledged: int = 0
    tombstones: int = 0
    bytes_acknowledged: int = 0
    contents_read_at_the_end: int = 0
    contents_read_after_rebuild: int = 0
    working_s: float = 0.0
    server_peak_rss_mib: int = 0
    stats: dict[str, int] = field(default_factory=dict)


def watch_crowd(
    folder: Path,
    seed: int,
    clients: int,
    kills: int,
    kill_every_s: float = KILL_EVERY_S,
    say: Callable[[str], None] = print,
) -> Watched:
    """Have customers work, killing the server so many times meanwhile; then read everything. Raises Broken."""
    server = Server(folder)
    with closing(Oracle(folder / "oracle.jsonl")) as oracle, closing(server):
        server.start()
        crowd = Crowd(server, oracle, clients, seed, TASTE)
        found = asyncio.run(_watch(server, oracle, crowd, Watched(clients), kills, kill_every_s, say))
        server.note_rss()
        found.server_peak_rss_mib = round(server.peak_rss_bytes / MIB)
        found.stats = server.stats()
        checked = server.admin("check")
        assert not checked["damaged"], checked
        assert server.stop() == 0, server.tail()
        check_log(oracle, server.data / "receipts")
        bad = [line for line in server.log_lines() if "Traceback" in line or " ERROR " in line]
        assert not bad, "\n".join(bad[:10])
        found.contents_read_after_rebuild = _without_its_database(server, crowd)
        return found


def _without_its_database(server: Server, crowd: Crowd) -> int:
    """Throw the database away, have it made again, and read everything once more; return how many contents."""
    for part in (server.data / "meta").glob("pp.db*"):
        part.unlink()
    report = server.admin("rebuild")
    assert (report["damaged"], report["files_without_content"]) == (0, 0), report
    server.forget_key()
    server.start()
    read = asyncio.run(crowd.verify())
    assert server.stop() == 0, server.tail()
    return read


async def _watch(
    server: Server,
    oracle: Oracle,
    crowd: Crowd,
    found: Watched,
    kills: int,
    kill_every_s: float,
    say: Callable[[str], None],
) -> Watched:
    began = time.monotonic()
    while found.kills < kills:
        await crowd.era(kill_every_s, server.kill, look_at=list(oracle.acked())[-50:])
        found.kills += 1
        server.start()
        say(f"{time.monotonic() - began:6.1f} s  kill {found.kills}: {_count(oracle)}")
    await crowd.era(kill_every_s)
    found.working_s = round(time.monotonic() - began, 1)
    say(f"{found.working_s:6.1f} s  done: {_count(oracle)}; reading all of it")
    found.contents_read_at_the_end = await crowd.verify()
    acked: list[Fact] = list(oracle.acked())
    found.acknowledged, found.tombstones = len(acked), sum(fact.is_tombstone for fact in acked)
    found.bytes_acknowledged = sum(fact.size for fact in acked)
    return found


def _count(oracle: Oracle) -> dict[str, int]:
    return dict(Counter(state.value for state in oracle.states.values()))
