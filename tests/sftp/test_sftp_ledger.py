"""What became of each file, and what is to be told of it: durable, bounded, never thrown away for a passing trouble."""

import os
import sqlite3
import threading
from collections import Counter
from pathlib import Path

import pytest

from pp_assist.sftp import ledger as module
from pp_assist.sftp.ledger import Ledger, State
from pp_assist.sftp.outbox import AT_A_TIME, Message, NotTaken, Outbox
from pp_assist.sftp.polling import Seen


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state" / "sftp.db")


def add(ledger: Ledger, *names: bytes, left: bool = True) -> list[str]:
    ledger.add("s", [(name, Seen(1, 1)) for name in names])
    ids = [arrival.id for arrival in ledger.in_state("s", State.FOUND)]
    ledger.settle(ids, is_left=left)
    return ids


def test_a_database_that_is_busy_is_not_a_damaged_one(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Ledger(path)
    add(first, b"a")
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: real(*args, **options | {"timeout": 0.1}))
    with first.transaction(), pytest.raises(sqlite3.OperationalError, match="locked"):
        Ledger(path)
    assert [name for name in os.listdir(os.path.dirname(path)) if "damaged" in name] == []
    assert Ledger(path).left("s") == {b"a": Seen(1, 1)}


def test_a_damaged_one_is_put_aside(path: str) -> None:
    Ledger(path).close()
    Path(path).write_bytes(b"no database" * 1000)
    ledger = Ledger(path)
    assert ledger.left("s") == {}
    [aside] = [name for name in os.listdir(os.path.dirname(path)) if "damaged" in name]
    assert Path(path).with_name(aside).read_bytes().startswith(b"no database")


def test_what_is_asked_many_times_a_second_reads_no_settled_rows(path: str) -> None:
    ledger = Ledger(path)
    questions = {
        "(source=? AND state=?)": module.OPEN,
        "(source=? AND state=? AND batch=?)": "state = 'settled' AND batch IS NULL",
        "(source=? AND name=?)": "name = x'61'",
    }
    for by, where in questions.items():
        [plan] = ledger.rows(f"EXPLAIN QUERY PLAN SELECT target FROM arrivals WHERE source = 's' AND {where}")
        assert by in plan[3], plan[3]


def test_what_has_long_been_gone_is_forgotten_and_what_stays_is_not(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = module.now_ms()
    ledger = Ledger(path)
    add(ledger, b"stays", b"goes")
    monkeypatch.setattr(module, "now_ms", lambda: now_ms + module.KEEP_MS + 60_000)
    ledger.close()
    ledger = Ledger(path)
    assert set(ledger.left("s")) == {b"stays", b"goes"}  # nobody has looked for so long
    ledger.still_left("s", [b"stays"])
    assert set(ledger.left("s")) == {b"stays"}
    ledger.close()
    assert [row[0] for row in Ledger(path).rows("SELECT name FROM arrivals")] == [b"stays"]


def test_only_the_last_version_of_a_file_is_left(path: str) -> None:
    ledger = Ledger(path)
    add(ledger, b"a")
    ledger.add("s", [(b"a", Seen(2, 2))])
    ledger.settle([ledger.open("s")[0].id], is_left=True)
    assert ledger.rows("SELECT size_bytes FROM arrivals WHERE is_left = 1") == [(2,)]
    last = ledger.last("s", b"a")
    assert last is not None and last.seen == Seen(2, 2)


# -- the outbox


def test_an_api_that_is_down_holds_up_no_other_one(path: str) -> None:
    ledger = Ledger(path)
    outbox = Outbox(ledger)
    for number in range(10):
        outbox.add("s", [], Message(f"down-{number}", "http://down", "", b"", 0))
    outbox.add("t", [], Message("up", "http://up", "", b"", 0))
    tried: Counter[str] = Counter()

    def post(message: Message) -> None:
        tried[message.url] += 1
        if message.url == "http://down":
            raise NotTaken("down")

    assert outbox.deliver(post) == (1, 3)
    assert tried == {"http://down": 3, "http://up": 1}


def test_what_waits_for_an_api_is_read_some_at_a_time_and_sent_as_a_whole(path: str) -> None:
    outbox = Outbox(Ledger(path))
    for number in range(AT_A_TIME + 5):
        outbox.add("s", [], Message(str(number), "http://up", "secret", b"", 0))
    assert len(outbox.due("http://up")) == AT_A_TIME
    assert "secret" not in repr(outbox.due("http://up")[0])
    sent: list[str] = []
    assert outbox.deliver(lambda message: sent.append(message.id)) == (AT_A_TIME + 5, 0)
    assert sent == [str(number) for number in range(AT_A_TIME + 5)]


def test_many_threads_share_it(path: str) -> None:
    ledger = Ledger(path)
    threads = [threading.Thread(target=ledger.add, args=("s", [(b"%d" % n, Seen(1, 1))])) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.open_count("s") == 8
