"""What storing many small files costs, counted: requests, bytes, syncs and statements. Exact where time is noisy.

A change that raises one of these numbers needs a reason; one that lowers it lowers the bound here, too.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from pair import Pair, running_pair
from sqlalchemy import event
from sqlalchemy.engine import Engine

from pp_assist.core.model import Stage
from pp_server.durable import Durable
from tests.bench.workloads import KIB, extent, mutate, small_files

FILES = 2_000
DIRS = 40
MANY = re.compile(r"VALUES [(?, )]+\)")
"""As many rows as there are: one statement of ours, however many."""
PATHS = FILES + DIRS + 1
"""Directories are stored, too; these lie in one more."""


class Work:
    """What has been done since the last `begin`."""

    def __init__(self) -> None:
        self.daemon_calls: Counter[str] = Counter()
        """Calls handed to SQLite's thread: a statement, or one for many rows; a fetch; a commit."""
        self.server_statements: Counter[str] = Counter()
        self.syncs = 0
        self.bytes_up = 0

    def begin(self) -> None:
        """Count from nothing."""
        self.__init__()  # type: ignore[misc]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Everything is listened to, and nothing is changed."""
    counted = Work()
    execute, sync = aiosqlite.Connection._execute, Durable._count_fsync

    async def executed(self: aiosqlite.Connection, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        sql = next((MANY.sub("VALUES ...", " ".join(each.split()))[:120] for each in args if isinstance(each, str)), "")
        counted.daemon_calls[f"{getattr(function, '__name__', '?')} {sql}".strip()] += 1
        return await execute(self, function, *args, **more)

    def synced(self: Durable) -> None:
        counted.syncs += 1
        sync(self)

    def stated(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        counted.server_statements[" ".join(statement.split())[:90]] += 1

    monkeypatch.setattr(aiosqlite.Connection, "_execute", executed)
    monkeypatch.setattr(Durable, "_count_fsync", synced)
    event.listen(Engine, "before_cursor_execute", stated)
    yield counted
    event.remove(Engine, "before_cursor_execute", stated)


@pytest.fixture
async def planted(tmp_path: Path, work: Work) -> AsyncIterator[Pair]:
    """A pair that runs, and a tree that it has not looked at."""
    async with running_pair(tmp_path) as pair:
        await pair.settle()
        small_files(pair.tree, FILES, DIRS)

        def note(path: str, body: bytes) -> bytes:
            work.bytes_up += len(body)
            return body

        pair.weather.damage = note
        yield pair


def shown(work: Work, pair: Pair) -> str:
    """Say what was done, the most frequent first."""
    lines = [f"{pair.weather.requests}", f"{work.bytes_up} bytes, {work.syncs} syncs"]
    for counts in (work.daemon_calls, work.server_statements):
        lines += [f"{counts.total():6}", *(f"{count:6} {what}" for what, count in counts.most_common(20))]
    return "\n".join(lines)


async def test_small_files_cost_a_few_requests_syncs_and_statements_per_batch(planted: Pair, work: Work) -> None:
    await planted.stop_server()
    work.begin()
    await planted.scan()
    await planted.until(lambda counts: counts.queued(Stage.UPLOAD) == counts.queued(*Stage) == PATHS)
    print("seen and hashed:", shown(work, planted))
    assert work.daemon_calls.total() <= FILES / 9

    await planted.start_server()
    planted.weather.requests.clear()
    work.begin()
    await planted.until(lambda counts: counts.queued(*Stage) == 0)
    print("stored:", shown(work, planted))
    batches = planted.asked("/api/batch")
    assert 3 <= batches <= FILES / 400, "content of 11 MiB, and 4 MiB in a batch"
    assert planted.asked("/api/files/held") <= batches
    assert planted.asked("/api/uploads") == 0
    assert work.syncs <= 3 * batches + 4, "content, metadata, receipts; a new pack and its folder; the greeting"
    assert work.bytes_up <= extent(planted.tree).size_bytes + 450 * FILES
    assert work.daemon_calls.total() <= FILES / 22
    assert work.server_statements.total() <= FILES / 12


async def test_what_is_sent_at_once_is_put_in_no_line(planted: Pair, work: Work) -> None:
    """Seen, offered and stored: that is all that is written down of a small file while the server is there."""
    work.begin()
    await planted.scan()
    await planted.until(lambda counts: counts.queued(*Stage) == 0)
    print("stored:", shown(work, planted))
    assert any("UPDATE files SET state" in call for call in work.daemon_calls)
    assert not [call for call in work.daemon_calls if "UPDATE work" in call]
    assert work.daemon_calls.total() <= FILES / 6


async def test_what_is_stored_costs_nothing_and_a_change_costs_its_own(planted: Pair, work: Work) -> None:
    await planted.settle()
    planted.weather.requests.clear()
    work.begin()
    await planted.settle()
    print("same:", shown(work, planted))
    assert (planted.weather.requests, work.syncs, work.server_statements.total()) == ([], 0, 0)
    assert work.daemon_calls.total() <= FILES / 30

    changed = mutate(planted.tree)
    work.begin()
    await planted.settle()
    print("changed:", shown(work, planted))
    assert len(planted.weather.requests) <= 12
    assert work.bytes_up <= sum(changed.values()) * 16 * KIB // 3
    assert work.syncs <= 3 * len(planted.weather.requests)
    assert work.daemon_calls.total() <= FILES / 7
