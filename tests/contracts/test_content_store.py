"""What every content store promises."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pp_server.content.base import ContentStore, Placed
from pp_server.content.filesystem import FilesystemContent
from pp_server.content.memory import MemoryContent
from pp_server.durable import Durable
from pp_server.wire.digest import EMPTY, Digest, digest_of

DATA = b"some content" * 1000
DIGEST = digest_of(DATA)


@pytest.fixture(params=["filesystem", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ContentStore]:
    if request.param == "memory":
        yield MemoryContent()
        return
    for name in ("blobs", "quarantine"):
        (tmp_path / name).mkdir()
    with ThreadPoolExecutor(4) as executor:
        yield FilesystemContent(str(tmp_path / "blobs"), str(tmp_path / "quarantine"), Durable(), executor)


@pytest.fixture
def staged(tmp_path: Path) -> Callable[[bytes], str]:
    def stage(data: bytes) -> str:
        path = tmp_path / f"staged-{hashlib.sha256(data).hexdigest()[:8]}"
        if not path.exists():
            path.write_bytes(data)
        return str(path)

    return stage


async def read(store: ContentStore, digest: Digest) -> bytes:
    reader = await store.open(digest)
    assert reader is not None
    try:
        return await reader.read(0, reader.size_bytes)
    finally:
        await reader.close()


async def test_what_is_put_comes_back(store: ContentStore, staged) -> None:
    assert await store.put_file(DIGEST, len(DATA), staged(DATA)) is Placed.NEW
    assert await store.size(DIGEST) == len(DATA)
    assert await read(store, DIGEST) == DATA
    assert await store.verify(DIGEST)


async def test_a_part_can_be_read(store: ContentStore, staged) -> None:
    await store.put_file(DIGEST, len(DATA), staged(DATA))
    reader = await store.open(DIGEST)
    assert reader is not None
    assert await reader.read(5, 7) == DATA[5:12]
    assert await reader.read(len(DATA) - 3, 100) == DATA[-3:]
    await reader.close()


async def test_what_was_never_put_is_not_there(store: ContentStore) -> None:
    assert await store.size(DIGEST) is None
    assert await store.open(DIGEST) is None
    assert not await store.verify(DIGEST)
    await store.put_aside(DIGEST)


async def test_putting_it_again_changes_nothing(store: ContentStore, staged) -> None:
    await store.put_file(DIGEST, len(DATA), staged(DATA))
    assert await store.put_file(DIGEST, len(DATA), staged(DATA)) is Placed.EXISTED
    assert await read(store, DIGEST) == DATA


async def test_the_staged_file_stays_where_it_is(store: ContentStore, staged) -> None:
    path = staged(DATA)
    await store.put_file(DIGEST, len(DATA), path)
    assert Path(path).read_bytes() == DATA
    Path(path).unlink()
    assert await read(store, DIGEST) == DATA


async def test_an_empty_blob_is_a_blob(store: ContentStore, staged) -> None:
    await store.put_file(EMPTY, 0, staged(b""))
    assert await store.size(EMPTY) == 0
    assert await read(store, EMPTY) == b""


async def test_what_is_put_aside_is_gone_and_can_come_again(store: ContentStore, staged) -> None:
    await store.put_file(DIGEST, len(DATA), staged(DATA))
    await store.put_aside(DIGEST)
    assert await store.open(DIGEST) is None
    assert await store.put_file(DIGEST, len(DATA), staged(DATA)) is Placed.NEW
    assert await read(store, DIGEST) == DATA


async def test_a_blob_that_is_not_what_its_name_says_is_found(store: ContentStore, staged) -> None:
    """Nobody checks while putting: that is the caller's duty. Checking later finds it."""
    await store.put_file(DIGEST, 4, staged(b"junk"))
    assert not await store.verify(DIGEST)


async def test_a_blob_of_another_size_is_replaced(store: ContentStore, staged) -> None:
    await store.put_file(DIGEST, 4, staged(b"junk"))
    assert await store.put_file(DIGEST, len(DATA), staged(DATA)) is Placed.NEW
    assert await read(store, DIGEST) == DATA


async def test_an_open_reader_outlives_putting_aside(store: ContentStore, staged) -> None:
    await store.put_file(DIGEST, len(DATA), staged(DATA))
    reader = await store.open(DIGEST)
    assert reader is not None
    await store.put_aside(DIGEST)
    assert await reader.read(0, len(DATA)) == DATA
    await reader.close()
