"""What every metadata store promises."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pp_server.core.errors import StaleGeneration, UploadAborted, UploadExpired
from pp_server.core.extents import Container, Extent, Location, whole_file
from pp_server.core.model import (
    DEFAULT_SCOPES,
    DeletionOrder,
    DeletionStatus,
    Facts,
    ListingQuery,
    NewKey,
    RecordedChunk,
    SessionStatus,
    UploadRequest,
)
from pp_server.durable import Durable
from pp_server.metadata.base import Committed, MetadataStore, Outdated
from pp_server.metadata.store import SqliteMetadata
from pp_server.wire.digest import Digest, digest_of

NOW = 1_800_000_000_000
LATER = NOW + 3_600_000

Opener = Callable[[], AbstractAsyncContextManager[MetadataStore]]


@pytest.fixture(params=["sqlite"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """A function that opens the store on this test's data, any number of times in turn."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[MetadataStore]:
        store = await SqliteMetadata.open(str(tmp_path / "pp.db"), Durable())
        try:
            yield store
        finally:
            await store.close()

    return opened


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[MetadataStore]:
    async with opener() as opened:
        yield opened


@pytest.fixture
async def owner(store: MetadataStore) -> int:
    return (await store.create_key(new_key("0" * 16, "bob"), NOW)).owner_id


def new_key(key_id: str, owner: str) -> NewKey:
    return NewKey(key_id, owner, "laptop", frozenset(DEFAULT_SCOPES), None, bytes(32))


def asked(owner: int, path: bytes = b"/a", data: bytes = b"data", gen: int | None = None) -> UploadRequest:
    return UploadRequest(owner, "0" * 16, "host", "name", None, path, gen, digest_of(data), len(data), 1024, 1, Facts())


async def stored(store: MetadataStore, request: UploadRequest, name: str) -> Committed | Outdated:
    opened = await store.open_session(request, name, NOW, LATER)
    assert request.sha256 is not None
    return await store.complete_session(opened.session.id, request.sha256, at(request.sha256), NOW)


def at(digest: Digest, size: int = 4) -> Location:
    return whole_file(digest, size)


def chunk(number: int, data: bytes = b"x") -> RecordedChunk:
    return RecordedChunk(number, len(data), digest_of(data), 1, NOW)


async def test_a_key_is_found_until_and_after_it_is_revoked(store: MetadataStore) -> None:
    key = await store.create_key(new_key("1" * 16, "bob"), NOW)
    assert await store.find_key(key.id) == key
    assert await store.find_key("2" * 16) is None
    await store.revoke_key(key.id, NOW + 5)
    revoked = await store.revoke_key(key.id, NOW + 9)
    assert revoked == replace(key, revoked_ms=NOW + 5)
    assert await store.revoke_key("2" * 16, NOW) is None


async def test_a_known_owner_gets_one_more_key(store: MetadataStore) -> None:
    first = await store.create_key(new_key("1" * 16, "bob"), NOW)
    second = await store.create_key(new_key("2" * 16, "bob"), NOW + 1)
    other = await store.create_key(new_key("3" * 16, "eve"), NOW + 2)
    assert first.owner_id == second.owner_id != other.owner_id
    await store.touch_keys({first.id: NOW + 7, "unknown": 1})
    assert [key.last_used_ms for key in await store.list_keys()] == [NOW + 7, None, None]


async def test_opening_the_same_upload_again_finds_it(store: MetadataStore, owner: int) -> None:
    first = await store.open_session(asked(owner), "one", NOW, LATER)
    again = await store.open_session(asked(owner), "two", NOW + 1, LATER + 1)
    assert (first.resumed, again.resumed) == (False, True)
    assert again.session == replace(first.session, expires_ms=LATER + 1)
    late = await store.open_session(asked(owner), "three", LATER + 1, LATER + 2)
    assert not late.resumed


@pytest.mark.parametrize(
    "change",
    [{"path": b"/b"}, {"gen": 5}, {"size_bytes": 5}, {"chunk_bytes": 2048}, {"host_id": "x"}, {"sha256": None}],
)
async def test_a_different_upload_is_another_one(store: MetadataStore, owner: int, change: dict) -> None:
    await store.open_session(asked(owner), "one", NOW, LATER)
    assert not (await store.open_session(replace(asked(owner), **change), "two", NOW, LATER)).resumed


async def test_sessions_are_their_owners_alone(store: MetadataStore, owner: int) -> None:
    opened = await store.open_session(asked(owner), "one", NOW, LATER)
    assert await store.find_session(owner, "one") == opened.session
    assert await store.find_session(owner + 1, "one") is None
    assert await store.find_session(owner, "two") is None


async def test_chunks_are_a_set_and_the_first_record_stays(store: MetadataStore, owner: int) -> None:
    session = (await store.open_session(asked(owner), "one", NOW, LATER)).session
    for number in (2, 0, 2):
        await store.record_chunk(session.id, chunk(number), None)
    await store.record_chunk(session.id, chunk(0, b"other"), LATER + 9)
    assert await store.chunks(session.id) == [chunk(0), chunk(2)]
    assert await store.chunk(session.id, 2) == chunk(2)
    assert await store.chunk(session.id, 1) is None
    found = await store.find_session(owner, "one")
    assert found is not None
    assert found.expires_ms == LATER + 9


async def test_chunks_can_be_forgotten_and_vouched_for(store: MetadataStore, owner: int) -> None:
    session = (await store.open_session(asked(owner), "one", NOW, LATER)).session
    for number in range(4):
        await store.record_chunk(session.id, replace(chunk(number), epoch=0), None)
    await store.forget_chunks(session.id, [1, 2, 9])
    assert [c.number for c in await store.chunks(session.id)] == [0, 3]
    await store.vouch_chunks(session.id)
    assert {c.epoch for c in await store.chunks(session.id)} == {store.epoch}
    await store.forget_chunks(session.id, [])
    await store.forget_chunks(session.id, None)
    assert await store.chunks(session.id) == []


async def test_completing_twice_gives_the_same_receipt(store: MetadataStore, owner: int) -> None:
    request = asked(owner, gen=7)
    first = await stored(store, request, "one")
    assert isinstance(first, Committed)
    assert (first.receipt.gen, first.receipt.owner, first.receipt.host_id) == (7, "bob", "host")
    session = await store.find_session(owner, "one")
    assert session is not None
    assert (session.status, session.receipt) == (SessionStatus.COMPLETED, first.receipt)
    again = await store.complete_session(session.id, digest_of(b"data"), at(digest_of(b"data")), NOW + 5)
    assert again == Committed(first.receipt)


async def test_sequences_grow_and_are_never_used_again(store: MetadataStore, owner: int) -> None:
    receipts = [await stored(store, asked(owner, b"/%d" % n), f"u{n}") for n in range(3)]
    sequences = [outcome.receipt.sequence for outcome in receipts if isinstance(outcome, Committed)]
    assert sequences == sorted(set(sequences))
    assert len(sequences) == 3


@pytest.mark.parametrize(("gen", "data"), [(4, b"data"), (5, b"other"), (0, b"data")])
async def test_generations_never_go_back(store: MetadataStore, owner: int, gen: int, data: bytes) -> None:
    early = (await store.open_session(asked(owner, gen=gen, data=data), "early", NOW, LATER)).session
    await stored(store, asked(owner, gen=5), "one")
    with pytest.raises(StaleGeneration) as caught:
        await store.open_session(asked(owner, gen=gen, data=data), "late", NOW, LATER)
    assert caught.value.gen == 5
    place = at(digest_of(data), len(data))
    assert await store.complete_session(early.id, digest_of(data), place, NOW) == Outdated(5)
    assert await store.find_blobs([digest_of(data)])
    with pytest.raises(UploadAborted):
        await store.complete_session(early.id, digest_of(data), place, NOW)


async def test_an_equal_generation_with_equal_content_is_a_repeat(store: MetadataStore, owner: int) -> None:
    first = await stored(store, asked(owner, gen=5), "one")
    again = await store.open_session(asked(owner, gen=5), "two", NOW, LATER)
    assert again.session.content_known
    assert await store.complete_session(again.session.id, digest_of(b"data"), None, NOW) == Committed(first.receipt)


async def test_content_is_known_to_its_owner_only_and_only_while_it_is_good(store: MetadataStore, owner: int) -> None:
    other = (await store.create_key(new_key("1" * 16, "eve"), NOW)).owner_id
    await stored(store, asked(owner), "one")
    assert (await store.open_session(asked(owner, b"/b"), "two", NOW, LATER)).session.content_known
    assert not (await store.open_session(asked(other), "three", NOW, LATER)).session.content_known
    assert await store.find_content(owner, digest_of(b"data"))
    assert await store.find_content(other, digest_of(b"data")) is None
    assert await store.held(owner, [digest_of(b"data")]) == {digest_of(b"data")}
    assert await store.held(other, [digest_of(b"data")]) == set()
    elsewhere = (Extent(Container.PACK, "x", 8, 4, 4, digest_of(b"data")),)
    assert not await store.distrust_content(digest_of(b"data"), elsewhere)
    assert await store.find_blobs([digest_of(b"data")])
    assert await store.distrust_content(digest_of(b"data"), at(digest_of(b"data")))
    assert not await store.find_blobs([digest_of(b"data")])
    assert await store.find_content(owner, digest_of(b"data")) is None
    two = await store.find_session(owner, "two")
    assert two is not None
    assert not two.content_known


async def test_a_closed_session_stays_closed(store: MetadataStore, owner: int) -> None:
    session = (await store.open_session(asked(owner), "one", NOW, LATER)).session
    await store.record_chunk(session.id, chunk(0), None)
    assert await store.abort_session(session.id, NOW) == 1
    assert await store.abort_session(session.id, NOW) == 0
    with pytest.raises(UploadAborted):
        await store.complete_session(session.id, digest_of(b"data"), None, NOW)
    assert await store.find_content(owner, digest_of(b"data")) is None


async def test_expired_sessions_close_except_busy_ones(store: MetadataStore, owner: int) -> None:
    for name in ("over", "busy", "fresh"):
        end = NOW + 10 if name != "fresh" else LATER
        await store.open_session(asked(owner, name.encode()), name, NOW, end)
    expired = await store.expire_sessions(NOW + 10, {"busy"})
    assert expired.upload_ids == ("over",)
    assert await store.open_upload_ids() == {"busy", "fresh"}
    over = await store.find_session(owner, "over")
    assert over is not None
    with pytest.raises(UploadExpired):
        await store.complete_session(over.id, digest_of(b"data"), None, NOW)
    assert await store.expire_session("busy", NOW)
    assert not await store.expire_session("busy", NOW)
    assert not await store.expire_session("unknown", NOW)


async def test_a_deletion_hides_and_a_new_version_returns(store: MetadataStore, owner: int) -> None:
    await stored(store, asked(owner, gen=1), "one")
    order = DeletionOrder(digest_of(b"data"), b"/a", "host", 2)
    for n in range(2):
        [outcome], new = await store.apply_deletions(owner, [order], NOW + 5)
        assert len(new) == (1 if n == 0 else 0)
        assert (outcome.status, outcome.gen, outcome.deleted_ms) == (DeletionStatus.DELETED, 2, NOW + 5)
    assert (await store.list_files(ListingQuery(owner))).total == 0
    host = await store.find_host(owner, "host")
    assert host is not None
    assert host.highest_gen == 2
    await stored(store, asked(owner, gen=3), "two")
    assert (await store.list_files(ListingQuery(owner))).total == 1


async def test_deletions_of_another_owner_find_nothing(store: MetadataStore, owner: int) -> None:
    other = (await store.create_key(new_key("1" * 16, "eve"), NOW)).owner_id
    await stored(store, asked(owner), "one")
    for path in (b"/a", None):
        order = DeletionOrder(digest_of(b"data"), path, "host", None)
        [outcome], _ = await store.apply_deletions(other, [order], NOW)
        assert outcome.status is DeletionStatus.NOT_FOUND
    assert (await store.list_files(ListingQuery(owner))).total == 1


async def test_listings_are_in_order_of_bytes_and_pages_join(store: MetadataStore, owner: int) -> None:
    paths = [b"/a", b"/a/b", b"/a/\xff", b"/B", b"/a0", b"/\x80", b"/a b"]
    for n, path in enumerate(paths):
        await stored(store, asked(owner, path), f"u{n}")
    seen: list[bytes] = []
    query = ListingQuery(owner, limit=2)
    while True:
        page = await store.list_files(query)
        assert page.total == len(paths)
        seen += [version.path for version in page.versions]
        if page.following is None:
            break
        query = replace(query, after=page.following)
    assert seen == sorted(paths)
    below = await store.list_files(ListingQuery(owner, path_prefix=b"/a"))
    assert [version.path for version in below.versions] == [b"/a", b"/a/b", b"/a/\xff"]


async def test_everything_is_there_after_reopening(opener: Opener) -> None:
    async with opener() as store:
        owner = (await store.create_key(new_key("0" * 16, "bob"), NOW)).owner_id
        await stored(store, asked(owner), "one")
        await store.add_counts({"bytes_duplicate": 5})
        first_epoch, server_id = store.epoch, store.server_id
        stats = await store.stats()
    async with opener() as store:
        assert (store.epoch, store.server_id) == (first_epoch + 1, server_id)
        assert store.verify_below <= first_epoch
        assert (await store.list_files(ListingQuery(owner))).total == 1
        again = await store.stats()
        assert again["bytes_duplicate"] == 5
        assert {**again, "fsyncs": 0} == {**stats, "fsyncs": 0}


async def test_one_failing_operation_does_not_touch_its_neighbours(store: MetadataStore, owner: int) -> None:
    await stored(store, asked(owner, gen=9), "head")
    wanted = [asked(owner, b"/%d" % n) if n % 2 else asked(owner, gen=1) for n in range(20)]
    results = await asyncio.gather(
        *(store.open_session(request, f"u{n}", NOW, LATER) for n, request in enumerate(wanted)), return_exceptions=True
    )
    assert [isinstance(result, StaleGeneration) for result in results] == [n % 2 == 0 for n in range(20)]
    assert len(await store.open_upload_ids()) == 10


async def test_a_cancelled_caller_undoes_nothing(store: MetadataStore, owner: int) -> None:
    waiting = [
        asyncio.create_task(store.open_session(asked(owner, b"/%d" % n), f"u{n}", NOW, LATER)) for n in range(10)
    ]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await store.open_upload_ids() == {f"u{n}" for n in range(10)}


async def test_many_at_once_are_all_recorded(store: MetadataStore, owner: int) -> None:
    session = (await store.open_session(asked(owner), "one", NOW, LATER)).session
    await asyncio.gather(*(store.record_chunk(session.id, chunk(n), None) for n in range(500)))
    assert len(await store.chunks(session.id)) == 500
    assert (await store.stats())["chunks_received"] == 500


async def test_the_store_answers(store: MetadataStore) -> None:
    assert await store.is_connected()
