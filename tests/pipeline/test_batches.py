"""Small files travel many at a time: few requests, no content twice, and no file held up by another."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pair import Pair, noise, running_pair, write

from pp_assist.clock import Clock
from pp_assist.core.capabilities import Capabilities
from pp_assist.core.model import Claim, FileState, Stage, WorkState
from pp_assist.store import receipts
from pp_assist.store.db import Database
from pp_assist.uploader import batch, uploader
from pp_assist.uploader.packing import Packed, pack
from pp_server.api import routes_health
from pp_server.wire.receipts import check
from pp_server.wire.version import FEATURES

LARGE = 300_000
UPLOADS = "/api/uploads"


@asynccontextmanager
async def all_waiting(pair: Pair, count: int) -> AsyncIterator[None]:
    """Have all files in the upload stage before the server is there; it comes at the end of the block."""
    await pair.stop_server()
    await pair.scan()
    await pair.until(lambda c: c.queued(Stage.UPLOAD) == c.queued(*Stage) == count)
    yield
    pair.weather.requests.clear()
    await pair.start_server()


def head_of(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body.partition(b"\n")[0])
    return found


def contents_of(bodies: list[bytes]) -> list[str]:
    """Which contents travelled, in how many copies."""
    operations = [operation for body in bodies for operation in head_of(body)["operations"]]
    return sorted(op["sha256"] for op in operations if op.get("content") == "inline" and op["file_size"])


def watch_batches(pair: Pair) -> list[bytes]:
    """Collect the bodies of all batches from now on."""
    seen: list[bytes] = []

    def look(path: str, body: bytes) -> bytes:
        if path == "/api/batch":
            seen.append(body)
        return body

    pair.weather.damage = look
    return seen


async def test_a_thousand_files_are_two_requests_and_a_handful_of_transactions(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(993):  # and the folders they are in
        write(pair.tree / f"{n % 7}" / f"{n}", noise(200, n))
    real, begun = Database.transaction, 0

    def counting(self: Database) -> Any:
        nonlocal begun
        begun += 1
        return real(self)

    async with all_waiting(pair, 1000):
        monkeypatch.setattr(Database, "transaction", counting)
    await pair.until(lambda c: c.queued(*Stage) == 0)
    monkeypatch.undo()
    assert pair.asked("/api/batch") == pair.asked("/api/files/held") == 1
    assert pair.asked(UPLOADS) == 0
    assert begun <= 12, "greeting, comparing, offered, stored, and how the server stands"
    await pair.assert_equal()
    assert pair.bytes_sent == 993 * 200


async def test_what_is_more_than_one_batch_travels_in_several(pair: Pair) -> None:
    size = 200_000
    for n in range(50):
        write(pair.tree / f"{n}", noise(size, n))
    async with all_waiting(pair, 50):
        seen = watch_batches(pair)
    await pair.assert_equal()
    assert len(seen) == 3, "of at most 4 MiB each"
    assert max(map(len, seen)) < batch.BATCH_BYTES + 20_000
    assert pair.bytes_sent == 50 * size


def watch_packing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect how many files are in each batch that is made ready from now on."""
    seen: list[int] = []

    def look(claims: Sequence[Claim], *rest: Any) -> Any:
        seen.append(len(claims))
        return pack(claims, *rest)

    monkeypatch.setattr(batch, "pack", look)
    return seen


def hold_batches(pair: Pair, word: str = "ok") -> asyncio.Event:
    """Hold up batches until the event that is returned is set; to those that were held up, *word* happens then."""
    go_on, real = asyncio.Event(), pair.weather.handle_async_request

    async def hold(request: Any) -> Any:
        if request.url.path != "/api/batch" or go_on.is_set():
            return await real(request)
        pair.weather.requests.append((request.method, "held up"))
        await go_on.wait()
        pair.weather.forecast.append(word)
        return await real(request)

    pair.weather.handle_async_request = hold  # type: ignore[method-assign]
    return go_on


async def test_while_two_batches_travel_the_next_is_made_ready(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, go_on = watch_packing(monkeypatch), hold_batches(pair)
    for n in range(100):
        write(pair.tree / f"{n}", noise(200_000, n))
    async with all_waiting(pair, 100):
        """Five batches, each as full as can be."""
    await pair.until(lambda _: len(packed) == 3 and pair.asked("held up") == 2)
    await asyncio.sleep(0.2)
    assert packed == [20, 20, 20]
    assert pair.asked("held up") == 2
    go_on.set()
    await pair.assert_equal()
    assert packed == [20] * 5
    assert pair.asked("/api/batch") == 5


async def test_trouble_with_those_that_travel_leaves_the_next_as_it_is(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was ready is not sent to a server that has just failed both of the others, before that is greeted again."""
    packed, go_on = watch_packing(monkeypatch), hold_batches(pair, "lost_request")
    for n in range(60):
        write(pair.tree / f"{n}", noise(200_000, n))
    async with all_waiting(pair, 60):
        """Three batches."""
    await pair.until(lambda _: len(packed) == 3 and pair.asked("held up") == 2)
    await pair.until_compared()  # else an answer to that tells that the server works
    go_on.set()
    await pair.assert_equal()
    paths = [path for _, path in pair.weather.requests]
    _, second, third = [at for at, path in enumerate(paths) if path == "/api/batch"][:3]
    assert "/api/hosts/host-1" in paths[second:third]


async def test_what_was_not_sent_after_all_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that failed compressed is to go as it is, and there is trouble with the others before its turn."""
    claim, clock, said = Claim(1, 1, Stage.UPLOAD, 0, 0, Any, None, None, None, None), Clock(), list[str]()  # type: ignore[arg-type]
    plainly = SimpleNamespace(helped=lambda: said.append("helped"))
    way = SimpleNamespace(host=None, capabilities=Capabilities(), plainly=plainly, client=None)
    monkeypatch.setattr(batch, "pack", lambda *_: Packed(claims=[claim]))
    with ThreadPoolExecutor(1) as threads:
        link: Any = SimpleNamespace(reason="server_unreachable")
        batches = batch.Batches(None, link, None, threads, lambda sent: None, clock)  # type: ignore[arg-type]
        assert await batches._share(way, batch.Share([claim], plain=True)) == []  # type: ignore[arg-type]
    assert not said


async def test_neither_lane_waits_for_the_other(pair: Pair) -> None:
    """Every large file is held up; the small ones go on."""
    stuck = asyncio.Event()

    async def hold(request: Any) -> Any:
        if "/chunk/" in request.url.path:
            await stuck.wait()
        return await real(request)

    real = pair.weather.handle_async_request
    pair.weather.handle_async_request = hold  # type: ignore[method-assign]
    for n in range(8):
        write(pair.tree / f"large {n}", noise(LARGE, n))
    await pair.scan()
    await pair.until(lambda _: pair.asked(f"{UPLOADS}/initiate") == 4)
    for n in range(50):
        write(pair.tree / f"small {n}", noise(100, n))
    await pair.scan()
    await pair.until(lambda c: c.files[FileState.COMPLETED] == 50)
    assert (await pair.counts()).queued(Stage.UPLOAD) == 8
    stuck.set()
    await pair.assert_equal()


async def test_small_files_held_up_do_not_hold_up_large_ones(pair: Pair) -> None:
    stuck = asyncio.Event()

    async def hold(request: Any) -> Any:
        if request.url.path == "/api/batch":
            await stuck.wait()
        return await real(request)

    real = pair.weather.handle_async_request
    pair.weather.handle_async_request = hold  # type: ignore[method-assign]
    for n in range(5):
        write(pair.tree / f"small {n}", noise(100, n))
    write(pair.tree / "large", noise(LARGE, 1))
    await pair.scan()
    await pair.until(lambda c: c.files[FileState.COMPLETED] == 1)
    assert (await pair.counts()).queued(Stage.CHECKSUM, Stage.UPLOAD) == 5, (
        "hashed, and on their way from there at once"
    )
    stuck.set()
    await pair.assert_equal()


async def test_content_the_server_holds_does_not_travel(pair: Pair) -> None:
    for n in range(20):
        write(pair.tree / f"{n}", noise(1000, n))
    await pair.assert_equal()
    seen = watch_batches(pair)
    sent = pair.bytes_sent
    for n in range(20):
        write(pair.tree / "copies" / f"{n}", noise(1000, n))
    write(pair.tree / "new", noise(1000, 99))
    await pair.assert_equal()
    assert contents_of(seen) != []
    assert pair.bytes_sent == sent + 1000
    counts = await pair.counts()
    assert (counts.files[FileState.COMPLETED], counts.files[FileState.UNCHANGED]) == (21, 20)


async def test_the_same_content_many_times_travels_once(pair: Pair) -> None:
    for n in range(30):
        write(pair.tree / f"{n}", noise(1000, n % 3))
    write(pair.tree / "empty", b"")
    write(pair.tree / "empty too", b"")
    async with all_waiting(pair, 32):
        seen = watch_batches(pair)
    await pair.assert_equal()
    assert len(contents_of(seen)) == 3
    assert pair.bytes_sent == 3000
    counts = await pair.counts()
    assert (counts.files[FileState.COMPLETED], counts.files[FileState.UNCHANGED]) == (5, 27)


async def test_content_on_its_way_in_one_batch_waits_in_the_other(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of one file, two at a time, all of the same content: it travels once."""
    monkeypatch.setattr(uploader, "BATCH_FILES", 1)
    for n in range(6):
        write(pair.tree / f"{n}", noise(1000, 1))
    write(pair.tree / "other", noise(1000, 2))
    async with all_waiting(pair, 7):
        seen = watch_batches(pair)
        pair.weather.forecast = ["slow"] * 30
    await pair.assert_equal()
    assert len(seen) == 7
    assert len(contents_of(seen)) == 2
    assert pair.bytes_sent == 2000


async def test_a_large_content_on_its_way_is_not_sent_a_second_time(pair: Pair) -> None:
    for n in range(4):
        write(pair.tree / f"{n}", noise(LARGE, 1))
    async with all_waiting(pair, 4):
        pair.weather.forecast = ["slow"] * 40
    await pair.assert_equal()
    assert sum("/chunk/" in path for _, path in pair.weather.requests) == 1
    assert pair.bytes_sent == LARGE


async def test_content_that_is_missing_after_all_is_sent_at_once(pair: Pair) -> None:
    """The server says that it holds everything: what it then misses travels in the next batch."""
    told: list[list[str]] = []

    def boast(path: str, answer: Any) -> Any:
        if path != "/api/files/held":
            return answer
        told.append(answer["held"])
        return {"held": asked[-1]}

    asked: list[list[str]] = []

    def listen(path: str, body: bytes) -> bytes:
        if path == "/api/files/held":
            asked.append(json.loads(body)["sha256"])
        return body

    pair.weather.lie, pair.weather.damage = boast, listen
    for n in range(5):
        write(pair.tree / f"{n}", noise(1000, n))
    async with all_waiting(pair, 5):
        pass
    await pair.until(lambda c: c.queued(*Stage) == 0)
    assert told == [[]]
    assert pair.asked("/api/batch") == 2
    assert pair.bytes_sent == 5000
    await pair.assert_equal()


@pytest.mark.parametrize("path", ["/api/files/held", "/api/batch"])
async def test_a_lost_answer_costs_no_content_and_no_attempt(pair: Pair, path: str) -> None:
    for n in range(10):
        write(pair.tree / f"{n}", noise(1000, n))
    lost = 0

    async def losing(request: Any) -> Any:
        nonlocal lost
        response = await real(request)
        if request.url.path == path and lost < 3:
            lost += 1
            pair.weather.forecast = ["lost_response"]
            return await real(request)
        return response

    real = pair.weather.handle_async_request
    async with all_waiting(pair, 10):
        pair.weather.handle_async_request = losing  # type: ignore[method-assign]
    counts = await pair.until(lambda c: c.queued(*Stage) == 0 or c.in_state(WorkState.BACKOFF, *Stage) > 0)
    assert counts.in_state(WorkState.BACKOFF, *Stage) == 0
    await pair.assert_equal()
    assert lost == 3
    assert len(await pair.live()) == 10


async def test_content_damaged_on_its_way_is_sent_again_and_alone(pair: Pair) -> None:
    """One byte of one file flips: the server refuses just that file, and stores the others."""
    for n in range(9):
        write(pair.tree / f"{n}", noise(1000, n))
    bad, seen = noise(1000, 4), []

    def flip(path: str, body: bytes) -> bytes:
        if path != "/api/batch":
            return body
        seen.append(len(head_of(body)["operations"]))
        return body if len(seen) > 1 else body.replace(bad, bad[:500] + b"?" + bad[501:])

    pair.weather.damage = flip
    async with all_waiting(pair, 9):
        pass
    await pair.assert_equal()
    assert seen == [9, 1]


async def test_a_file_that_changes_between_its_hash_and_its_batch_leaves_the_batch(pair: Pair) -> None:
    for n in range(9):
        write(pair.tree / f"{n}", noise(1000, n))
    async with all_waiting(pair, 9):
        write(pair.tree / "3", noise(1000, 33))
        (pair.tree / "5").unlink()
        seen = watch_batches(pair)
    await pair.until(lambda c: c.files[FileState.COMPLETED] >= 7)
    named = [os.path.basename(op["filepath"]) for op in head_of(seen[0])["operations"]]
    assert sorted(named) == ["0", "1", "2", "4", "6", "7", "8"]
    await pair.assert_equal()


async def test_a_file_that_looks_untouched_and_is_not_what_was_hashed_is_not_sent(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fact of stat is as it was; only reading shows that the content is another one."""
    from pp_assist.uploader import packing

    real, odd = packing.read_unchanged, noise(1000, 1)

    def other(fd: int, hashed: Any, offset: int, length: int) -> bytes:
        content = real(fd, hashed, offset, length)
        return bytes(1000) if content == odd else content

    monkeypatch.setattr(packing, "read_unchanged", other)
    write(pair.tree / "odd", odd)
    write(pair.tree / "other", noise(1000, 2))
    seen = watch_batches(pair)
    await pair.scan()
    await pair.until(lambda c: c.files[FileState.COMPLETED] == 1 and c.queued(Stage.CHECKSUM) == 1)
    assert not any(bytes(1000) in body for body in seen)
    monkeypatch.undo()
    await pair.assert_equal()


async def test_stale_files_get_a_newer_generation_and_hold_up_nobody(pair: Pair) -> None:
    for n in range(6):
        write(pair.tree / f"{n}", noise(1000, n))
    await pair.assert_equal()
    other = {"op": "put", "kind": "file", "gen": 10**6, "file_size": 1, "content": "inline"}
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    operations = [other | {"filepath": str(pair.tree / f"{n}"), "sha256": digest} for n in (1, 4)]
    body = json.dumps({"host_id": "host-1", "operations": operations}).encode() + b"\nxx"
    assert (await pair.client().post("/api/batch", content=body)).status_code == 200
    for n in range(6):
        write(pair.tree / f"{n}", noise(1000, 10 + n))
    seen = watch_batches(pair)
    await pair.assert_equal()
    assert len(contents_of(seen[:1])) == 6
    assert 2 <= len(contents_of(seen[1:])) <= 6


async def test_one_that_the_server_refuses_holds_up_no_other(pair: Pair) -> None:
    """The request as a whole is refused as long as that file is in it."""
    for n in range(40):
        write(pair.tree / f"{n}", noise(100, n))
    write(pair.tree / "poison", noise(100, 99))

    async def picky(request: Any) -> Any:
        if request.url.path == "/api/batch" and b"poison" in await request.aread():
            pair.weather.forecast = ["422"]
        return await real(request)

    real = pair.weather.handle_async_request
    async with all_waiting(pair, 41):
        pair.weather.handle_async_request = picky  # type: ignore[method-assign]
    counts = await pair.until(lambda c: c.files[FileState.COMPLETED] == 40 and c.queued(*Stage) == 1)
    await pair.until(lambda c: c.in_state(WorkState.PARKED, Stage.UPLOAD) == 1)
    assert counts.in_state(WorkState.BACKOFF, *Stage) == 0
    assert pair.asked("/api/batch") <= 13, "halving, not one by one"
    pair.weather.handle_async_request = real  # type: ignore[method-assign]
    await pair.scan(force=True)
    await pair.assert_equal()


async def test_a_gateway_that_takes_little_is_given_less_at_a_time(pair: Pair) -> None:
    """413 without a word of ours: what is in between takes less than the server would."""
    limit = 600_000
    for n in range(20):
        write(pair.tree / f"{n}", noise(100_000, n))
    sizes: list[int] = []

    async def gateway(request: Any) -> Any:
        if request.url.path == "/api/batch":
            sizes.append(len(await request.aread()))
            if sizes[-1] > limit:
                pair.weather.forecast = ["413"]
        return await real(request)

    real = pair.weather.handle_async_request
    pair.weather.handle_async_request = gateway  # type: ignore[method-assign]
    async with all_waiting(pair, 20):
        pass
    await pair.assert_equal()
    assert sum(size > limit for size in sizes) <= 3
    before = len(sizes)
    for n in range(20, 40):
        write(pair.tree / f"{n}", noise(100_000, n))
    await pair.assert_equal()
    assert all(size <= limit for size in sizes[before:]), "it is remembered"


async def test_a_single_file_that_is_too_large_for_a_gateway_goes_by_chunks(pair: Pair) -> None:
    async def gateway(request: Any) -> Any:
        if request.url.path == "/api/batch":
            pair.weather.forecast = ["413"]
        return await real(request)

    real = pair.weather.handle_async_request
    pair.weather.handle_async_request = gateway  # type: ignore[method-assign]
    for n in range(3):
        write(pair.tree / f"{n}", noise(100, n))
    await pair.assert_equal()
    assert pair.asked(f"{UPLOADS}/initiate") == 3


@pytest.mark.parametrize("word", ["500", "503", "html", "other_json", "401"])
async def test_trouble_with_a_batch_parks_nothing_and_loses_nothing(pair: Pair, word: str) -> None:
    for n in range(20):
        write(pair.tree / f"{n}", noise(100, n))

    async def trouble(request: Any) -> Any:
        nonlocal left
        if request.url.path == "/api/batch" and left:
            left -= 1
            pair.weather.forecast = [word]
        return await real(request)

    real, left = pair.weather.handle_async_request, 4
    pair.weather.handle_async_request = trouble  # type: ignore[method-assign]
    await pair.assert_equal()
    assert left == 0


LIES: list[Callable[[dict[str, Any]], object]] = [
    lambda receipt: receipt.update(gen=99),
    lambda receipt: receipt.update(sha256="0" * 64),
    lambda receipt: receipt.update(size=1),
    lambda receipt: receipt.update(host_id="x"),
    lambda receipt: receipt.update(filepath="/other"),
    lambda receipt: receipt.update(kind="dir"),
    lambda receipt: receipt.update(status="deleted"),
    lambda receipt: receipt.update(sequence=10**6),
    lambda receipt: receipt.update(stored_at="2020-01-01T00:00:00.000Z"),
    lambda receipt: receipt.update(owner="another"),
    lambda receipt: receipt.update(proof=None),
    lambda receipt: receipt["proof"].update(signature="A" * 86 + "=="),
    lambda receipt: receipt["proof"].update(key_id="0" * 16),
    lambda receipt: receipt["proof"].update(index=99),
]


@pytest.mark.parametrize("size", [100, LARGE])
@pytest.mark.parametrize("lie", range(len(LIES)))
async def test_a_receipt_with_one_wrong_word_is_not_believed(pair: Pair, lie: int, size: int) -> None:
    lied = 0

    def lying(path: str, answer: Any) -> Any:
        nonlocal lied
        changed = json.loads(json.dumps(answer))
        for place in [changed, *changed.get("results", [])]:
            if place.get("receipt"):
                LIES[lie](place["receipt"])
                lied += 1
                break
        return changed

    pair.weather.lie = lying
    for n in range(3):
        write(pair.tree / f"{n}", noise(size, n))
    async with all_waiting(pair, 3):
        pass
    await pair.until(lambda _: lied >= 2)
    counts = await pair.counts()
    assert counts.files[FileState.COMPLETED] == counts.files[FileState.UNCHANGED] == 0
    pair.weather.lie = lambda path, answer: answer
    await pair.assert_equal()


async def test_every_stored_file_has_a_receipt_that_can_be_checked_alone(pair: Pair) -> None:
    for n in range(10):
        write(pair.tree / f"{n}", noise(100, n))
    write(pair.tree / "large", noise(LARGE, 1))
    await pair.assert_equal()
    assert pair.daemon
    (root,) = await pair.daemon.roots.all()
    for name in (b"0", b"9", b"large"):
        found = await receipts.signed_receipt(pair.daemon.db, root.id, name)
        assert found is not None
        kept, key = found
        assert key is not None
        check(kept, key)
        (shown,) = (await pair.client().get("/api/receipts/key")).json()["keys"]
        assert key.public_key == shown["public_key"]


OTHER_KEY = {"key_id": "f" * 16, "public_key": "A" * 43 + "="}
CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "with key ffffffffffffffff; we know it by": ("/api/receipts/key", {"keys": [OTHER_KEY]}),
    "no longer does": ("/api/version", {"features": [name for name in FEATURES if name != "receipts"]}),
}


@pytest.mark.parametrize("words", CHANGES)
async def test_another_signing_key_is_loud_and_nothing_is_sent_until_a_person_allows_it(pair: Pair, words: str) -> None:
    assert pair.daemon
    write(pair.tree / "before", "x")
    await pair.assert_equal()
    changed, values = CHANGES[words]
    pair.weather.lie = lambda path, answer: answer | values if path == changed else answer
    await pair.stop_daemon()
    await pair.start_daemon()
    write(pair.tree / "after", "y")
    await pair.scan()
    await pair.until(lambda c: c.queued(Stage.UPLOAD) == 1 and pair.daemon.link.reason == "receipt_key_changed")  # type: ignore
    server = await pair.server_in_state("unreachable")
    assert words in str(server.reason)
    assert len(await pair.live()) == 1
    pair.weather.lie = lambda path, answer: answer
    await pair.daemon.servers.remove(server.id)
    await pair.daemon.servers.add("again", "http://server", pair.api_key, 0)
    await pair.assert_equal()


async def test_a_server_without_batches_is_sent_one_file_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_health, "FEATURES", ["initiate", "deletions", "download", "list", "hosts"])
    async with running_pair(tmp_path) as pair:
        for n in range(5):
            write(pair.tree / f"{n}", noise(100, n))
        write(pair.tree / "copy", noise(100, 1))
        write(pair.tree / "large", noise(LARGE, 1))
        await pair.assert_equal()
        assert pair.asked("/api/batch") == pair.asked("/api/files/held") == pair.asked("/api/receipts/key") == 0
        assert pair.asked(f"{UPLOADS}/initiate") == 7
        assert pair.bytes_sent == 500 + LARGE


async def test_a_server_without_receipts_or_questions_takes_batches_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_health, "FEATURES", [name for name in FEATURES if name not in ("receipts", "held")])
    async with running_pair(tmp_path) as pair:
        for n in range(5):
            write(pair.tree / f"{n}", noise(100, n))
        await pair.assert_equal()
        assert pair.asked("/api/batch") > 0
        assert pair.asked("/api/files/held") == pair.asked("/api/receipts/key") == pair.asked(UPLOADS) == 0


async def test_smaller_limits_of_a_server_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"max_operations": 4, "max_inline_size": 1000, "max_batch_size": 2500}
    monkeypatch.setattr(routes_health, "LIMITS", limits)
    async with running_pair(tmp_path) as pair:
        for n in range(10):
            write(pair.tree / f"{n}", noise(100, n))
        for n in range(4):
            write(pair.tree / f"thousand {n}", noise(1000, 20 + n))
        write(pair.tree / "more", noise(1001, 50))
        async with all_waiting(pair, 15):
            seen = watch_batches(pair)
        await pair.assert_equal()
        assert all(len(head_of(body)["operations"]) <= 4 for body in seen)
        assert all(len(body.partition(b"\n")[2]) <= 2500 for body in seen)
        assert pair.asked(f"{UPLOADS}/initiate") == 1
