"""What every content store promises."""

import hashlib
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pp_server.content.base import ContentStore, Placed
from pp_server.content.filesystem import FilesystemContent
from pp_server.content.memory import MemoryContent
from pp_server.core.extents import ZSTD, Blob, Container, Extent, Location, whole_file
from pp_server.durable import Durable
from pp_server.wire.digest import EMPTY, Digest, digest_of
from pp_server.wire.frames import Encoder, zstd

DATA = b"some content" * 1000
DIGEST = digest_of(DATA)


@pytest.fixture(params=["packs", "files", "memory", "plain packs", "plain files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ContentStore]:
    if request.param == "memory":
        yield MemoryContent()
        return
    folders = [str(tmp_path / name) for name in ("blobs", "packs", "quarantine")]
    for folder in folders:
        Path(folder).mkdir()
    small = 0 if request.param.endswith("files") else 1 << 18
    with ThreadPoolExecutor(4) as executor:
        compress = not request.param.startswith("plain")
        made = FilesystemContent(*folders, Durable(), executor, small_bytes=small, compress=compress)
        yield made
        made.close()


@pytest.fixture
def staged(tmp_path: Path) -> Callable[[bytes], str]:
    def stage(data: bytes) -> str:
        path = tmp_path / f"staged-{hashlib.sha256(data).hexdigest()[:8]}"
        if not path.exists():
            path.write_bytes(data)
        return str(path)

    return stage


@pytest.fixture
async def placed(store: ContentStore, staged) -> Location:
    return (await store.put_file(DIGEST, len(DATA), staged(DATA))).location


async def read(store: ContentStore, location: Location) -> bytes:
    reader = await store.open(location)
    assert reader is not None
    try:
        return await reader.read(0, reader.size_bytes + 1)
    finally:
        await reader.close()


async def test_what_is_put_comes_back(store: ContentStore, placed: Location) -> None:
    assert await store.holds(placed)
    assert await read(store, placed) == DATA
    assert await store.verify(DIGEST, placed)


async def test_a_part_can_be_read(store: ContentStore, placed: Location) -> None:
    reader = await store.open(placed)
    assert reader is not None
    assert reader.size_bytes == len(DATA)
    assert await reader.read(5, 7) == DATA[5:12]
    assert await reader.read(len(DATA) - 3, 100) == DATA[-3:]
    await reader.close()


@pytest.mark.parametrize("container", list(Container))
async def test_what_was_never_put_is_not_there(store: ContentStore, container: Container) -> None:
    nowhere = (Extent(container, DIGEST, 0, len(DATA), len(DATA), DIGEST),)
    assert not await store.holds(nowhere)
    assert await store.open(nowhere) is None
    assert not await store.verify(DIGEST, nowhere)
    await store.put_aside(DIGEST, nowhere)


async def test_putting_it_again_changes_nothing(store: ContentStore, staged, placed: Location) -> None:
    again = await store.put_file(DIGEST, len(DATA), staged(DATA))
    assert again == Placed(placed, existed=True) or not again.existed
    assert await read(store, placed) == await read(store, again.location) == DATA


async def test_the_staged_file_stays_where_it_is(store: ContentStore, staged, placed: Location) -> None:
    path = Path(staged(DATA))
    assert path.read_bytes() == DATA
    path.unlink()
    assert await read(store, placed) == DATA


async def test_an_empty_blob_is_a_blob(store: ContentStore, staged) -> None:
    location = (await store.put_file(EMPTY, 0, staged(b""))).location
    assert await store.holds(location)
    assert await read(store, location) == b""
    assert await store.verify(EMPTY, location)


async def test_many_are_put_at_once(store: ContentStore) -> None:
    contents = [b"%d" % n * (n + 1) for n in range(50)] + [b""]
    locations = await store.put_many([(digest_of(data), data) for data in contents])
    for data, location in zip(contents, locations, strict=True):
        assert await read(store, location) == data
        assert await store.verify(digest_of(data), location)
    assert locations[-1] == ()


async def test_content_may_be_put_together_from_parts_of_others(store: ContentStore, staged) -> None:
    """As a later version of a large file is, of which only a little changed."""
    noise = hashlib.shake_128(b"").digest(12_000)
    (whole,) = (await store.put_file(digest_of(noise), len(noise), staged(noise))).location
    (changed,) = (await store.put_many([(digest_of(b"changed"), b"changed")]))[0]
    head = Extent(whole.container, whole.name, whole.offset, 100, 100, digest_of(noise[:100]))
    rest = Extent(whole.container, whole.name, whole.offset + 107, len(noise) - 107, len(noise) - 107, digest_of(noise))
    new = noise[:100] + b"changed" + noise[107:]
    location = (head, changed, rest)
    assert await store.holds(location)
    assert await read(store, location) == new
    assert await store.verify(digest_of(new), location)
    assert not await store.verify(digest_of(noise), location)
    reader = await store.open(location)
    assert reader is not None
    assert await reader.read(98, 12) == new[98:110]
    await reader.close()


async def test_what_came_as_frames_comes_back_whole(store: ContentStore) -> None:
    """Smaller or not, together with what came plain."""
    contents = [b"%d" % n * (n + 1) * 20 for n in range(50)] + [b"", b"x", hashlib.shake_128(b"").digest(5000)]
    frames = {digest_of(data): Encoder().frame(data) for data in contents[::2] if data}
    locations = await store.put_many([(digest_of(data), data) for data in contents], frames)
    assert {where[0].encoding for where in locations[-2:]} == {"plain"}, "they would not become smaller"
    for data, location in zip(contents, locations, strict=True):
        assert await store.holds(location)
        assert await read(store, location) == data
        assert await store.verify(digest_of(data), location)
    blobs = [Blob(digest_of(data), len(data), where) for data, where in zip(contents, locations, strict=True)]
    found = {blob: content async for some in store.read_together(blobs) for blob, content in some}
    assert found == dict(zip(blobs, contents, strict=True))
    stored = {each.blob: each.intact async for each in store.scan() if each.blob.size_bytes}
    assert stored == {blob: True for blob in blobs if blob.location}


async def test_any_part_of_something_large_can_be_read(store: ContentStore, staged) -> None:
    data = b"".join(b"line %d\n" % n for n in range(100_000))
    location = (await store.put_file(digest_of(data), len(data), staged(data))).location
    reader = await store.open(location)
    assert reader is not None
    assert reader.size_bytes == len(data)
    rng = random.Random(7)
    for _ in range(200):
        at, length = rng.randrange(len(data)), rng.choice([1, 100, 262_144, 300_000, 2_000_000])
        assert await reader.read(at, length) == data[at : at + length]
    for at in (0, 262_143, 262_144, len(data) - 1, len(data)):
        assert await reader.read(at, 2) == data[at : at + 2]
    await reader.close()
    assert await store.verify(digest_of(data), location)


async def test_what_is_put_aside_can_come_again(store: ContentStore, staged, placed: Location) -> None:
    await store.put_aside(DIGEST, placed)
    again = await store.put_file(DIGEST, len(DATA), staged(DATA))
    assert not again.existed
    assert await read(store, again.location) == DATA


async def test_an_open_reader_outlives_putting_aside(store: ContentStore, placed: Location) -> None:
    reader = await store.open(placed)
    assert reader is not None
    await store.put_aside(DIGEST, placed)
    assert await reader.read(0, len(DATA)) == DATA
    await reader.close()


async def test_everything_is_found_without_records(store: ContentStore, staged, placed: Location) -> None:
    (other,) = await store.put_many([(digest_of(b"other"), b"other")])
    found = {each.blob.sha256: each async for each in store.scan()}
    assert found.keys() == {DIGEST, digest_of(b"other")}
    assert all(each.intact for each in found.values())
    assert found[DIGEST].blob.location == placed
    assert found[digest_of(b"other")].blob.location == other
    assert [each.blob.size_bytes for each in found.values()] in ([len(DATA), 5], [5, len(DATA)])


async def test_large_content_takes_less_room_in_a_form_that_any_tool_reads(tmp_path: Path, staged) -> None:
    with ThreadPoolExecutor(1) as executor:
        store = files_only(tmp_path, executor)
        data = DATA * 100
        placed = await store.put_file(digest_of(data), len(data), staged(data))
        path = Path(store.path_of(digest_of(data), ZSTD))
        assert placed.location[0].stored_bytes == path.stat().st_size < len(data) / 10
        assert zstd.decompress(path.read_bytes()) == data
        assert (await store.put_file(digest_of(data), len(data), staged(data))).existed
        noise = hashlib.shake_128(b"").digest(1 << 20)
        placed = await store.put_file(digest_of(noise), len(noise), staged(noise))
        assert placed.location == whole_file(digest_of(noise), len(noise)), "it would take no less"
        assert [each.intact async for each in store.scan()] == [True, True]
        assert not list(tmp_path.glob("staged-*.zst"))


@pytest.mark.parametrize("where", [0, 200, -1, -5, -30])
@pytest.mark.parametrize("cut", [False, True])
async def test_a_damaged_compressed_file_is_known_as_such(tmp_path: Path, staged, where: int, cut: bool) -> None:
    data = b"".join(b"line %d\n" % n for n in range(100_000))
    with ThreadPoolExecutor(1) as executor:
        store = files_only(tmp_path, executor)
        location = (await store.put_file(digest_of(data), len(data), staged(data))).location
        path = Path(store.path_of(digest_of(data), ZSTD))
        path.chmod(0o600)
        stored = bytearray(path.read_bytes())
        if cut:
            del stored[where:]
        else:
            stored[where] ^= 1
        path.write_bytes(stored)
        assert not await store.verify(digest_of(data), location)
        assert not any([each.intact async for each in store.scan()])
        await store.put_aside(digest_of(data), location)
        assert not path.exists()
        assert len(list((tmp_path / "quarantine").iterdir())) == 1
        again = await store.put_file(digest_of(data), len(data), staged(data))
        assert again == Placed(location)
        assert await store.verify(digest_of(data), location)


async def test_a_damaged_frame_in_a_pack_is_known_as_such(tmp_path: Path) -> None:
    contents = {digest_of(data): data for data in (b"a" * 1000, b"b" * 1000, b"c" * 1000)}
    with ThreadPoolExecutor(1) as executor:
        store = files_only(tmp_path, executor)
        frames = {digest: Encoder().frame(data) for digest, data in contents.items()}
        locations = await store.put_many(list(contents.items()), frames)
        (extent,) = locations[1]
        (pack,) = (tmp_path / "packs").iterdir()
        with pack.open("r+b") as file:
            file.seek(extent.offset + extent.stored_bytes - 2)
            file.write(b"\xff\xff")
        good = dict(zip(contents, (True, False, True), strict=True))
        for (digest, data), where in zip(contents.items(), locations, strict=True):
            assert await store.verify(digest, where) is good[digest]
            (some,) = [some async for some in store.read_together([Blob(digest, len(data), where)])]
            assert some[0][1] == (data if good[digest] else None)
        assert {each.blob.sha256: each.intact async for each in store.scan()} == good
        store.close()


async def test_a_file_that_is_not_what_its_name_says_is_found(tmp_path: Path, staged) -> None:
    """Nobody checks a large file while it is put: that is the caller's duty. Checking later finds it."""
    with ThreadPoolExecutor(1) as executor:
        store = files_only(tmp_path, executor)
        location = (await store.put_file(DIGEST, 4, staged(b"junk"))).location
        assert not await store.verify(DIGEST, location)
        assert [each.intact async for each in store.scan()] == [False]


async def test_a_file_of_another_size_is_replaced(tmp_path: Path, staged) -> None:
    with ThreadPoolExecutor(1) as executor:
        store = files_only(tmp_path, executor)
        noise = hashlib.shake_128(b"").digest(12_000)
        await store.put_file(digest_of(noise), 4, staged(b"junk"))
        again = await store.put_file(digest_of(noise), len(noise), staged(noise))
        assert again == Placed(whole_file(digest_of(noise), len(noise)))
        assert await read(store, again.location) == noise


def files_only(tmp_path: Path, executor: ThreadPoolExecutor) -> FilesystemContent:
    folders = [tmp_path / name for name in ("blobs", "packs", "quarantine")]
    for folder in folders:
        folder.mkdir()
    return FilesystemContent(*map(str, folders), Durable(), executor, small_bytes=0)


def test_a_digest_is_a_name(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        path = files_only(tmp_path, executor).path_of(Digest("ab" * 32))
    assert path.endswith(f"/blobs/ab/ab/{'ab' * 32}")


async def test_many_blobs_are_read_together(store: ContentStore, staged) -> None:
    """Each with its bytes, in whatever order; what is damaged or not there comes without."""
    data = [bytes([n]) * (n * 9000 + 1) for n in range(20)] + [b""]
    locations = await store.put_many([(digest_of(each), each) for each in data])
    blobs = [Blob(digest_of(each), len(each), where) for each, where in zip(data, locations, strict=True)]
    missing = Blob(digest_of(b"missing"), 7, whole_file(digest_of(b"missing"), 7))
    found = {blob: content async for some in store.read_together([*blobs, missing]) for blob, content in some}
    assert found == {**dict(zip(blobs, data, strict=True)), missing: None}
    wrong = Blob(digest_of(b"other"), blobs[3].size_bytes, blobs[3].location)
    assert [some async for some in store.read_together([wrong])] == [[(wrong, None)]]
