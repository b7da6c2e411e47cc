"""Whatever is wrong with the disk, or with us: good content stays trusted; what lies behind a bad place is found."""

import errno
import os
import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from serving import Client, Server, client_put, content, sha

from pp_server import posix
from pp_server.content.filesystem import FilesystemContent
from pp_server.content.packs import HEAD_BYTES, MAGIC, Packs, entry_head
from pp_server.core.errors import StorageFull
from pp_server.core.extents import Location
from pp_server.core.model import Facts, VersionStatus
from pp_server.core.recorded import Whose, recorded
from pp_server.core.versions import Version
from pp_server.durable import Durable
from pp_server.receipts.log import ReceiptsLog
from pp_server.receipts.signer import Signer
from pp_server.wire.digest import Digest, digest_of

Running = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture(params=[0, 256], ids=["files", "packs"])
async def server(running: Running, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with running(storage={"pack_up_to_kb": request.param}) as started:
        yield started


def is_content(path: object) -> bool:
    return "/packs/" in str(path) or "/blobs/" in str(path)


async def verified(client: Client, *digests: str) -> list[str]:
    answer = await client.http.post("/api/files/verify", json={"sha256": list(digests)})
    assert answer.status_code == 200, answer.text
    return [result["status"] for result in answer.json()["results"]]


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.ENOMEM])
async def test_content_that_we_cannot_open_just_now_stays_good(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    upload_id = await client.begin("/a", b"good")
    await client.send(upload_id, b"good")
    await client.complete(upload_id)
    real = os.open

    def fails(path: str, flags: int, *more: int) -> int:
        if is_content(path) and not flags & os.O_CREAT and not os.path.isdir(path):
            raise OSError(code, "injected")
        return real(path, flags, *more)

    digest = sha(b"good")
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", fails)
        assert (await client.download(digest)).status_code == 503
        assert (await client.http.post("/api/files/verify", json={"sha256": [digest]})).status_code == 503
        assert (await client.batch(client_put("/b", b"good", gen=9))).status_code == 503
    assert await server.holds(digest)
    assert not list((server.data_dir / "quarantine").iterdir())
    assert (await client.download(digest)).content == b"good"


async def test_content_that_the_disk_cannot_read_is_damaged_and_stops_nothing_else(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    datas = [content(1000, n) for n in range(3)]
    for n, data in enumerate(datas):
        await client.upload(f"/{n}", data)
    path, start = await server.place(sha(datas[1]))
    real, number = posix.read_at, path.stat().st_ino

    def fails(fd: int, length: int, offset: int) -> bytes:
        if os.fstat(fd).st_ino == number and offset <= start < offset + length:
            raise OSError(errno.EIO, "injected")
        return real(fd, length, offset)

    with monkeypatch.context() as patched:
        patched.setattr(posix, "read_at", fails)
        assert await verified(client, *map(sha, datas)) == ["intact", "damaged", "intact"]
    assert not await server.holds(sha(datas[1]))


async def test_content_stored_afresh_is_not_put_aside_by_who_saw_the_damaged(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch finds it damaged; before it does anything about that, an upload puts it in order, at the same place."""
    async with running(storage={"pack_up_to_kb": 0}) as server:
        client, alice = await server.client(), await server.client("alice")
        await client.upload("/a", b"precious")
        await server.damage(sha(b"precious"))
        store = server.app.state.services.files._content
        real = store.verify

        async def slow(digest: Digest, location: Location) -> bool:
            found = await real(digest, location)
            monkeypatch.setattr(store, "verify", real)
            await alice.upload("/b", b"precious")
            return found

        async def full(*_: object) -> list[Location]:
            raise StorageFull("injected")

        monkeypatch.setattr(store, "verify", slow)
        monkeypatch.setattr(store, "put_many", full)
        assert (await client.batch(client_put("/c", b"precious", gen=9))).status_code == 507
        assert await server.holds(sha(b"precious"))
        assert (await alice.download(sha(b"precious"))).content == b"precious"


def packed(tmp_path: Path, *pieces: bytes) -> list[tuple[Digest, bool]]:
    """What is found in a pack of these bytes."""
    (tmp_path / "p.pack").write_bytes(MAGIC + b"".join(pieces))
    return [(extent.sha256, intact) for extent, intact in Packs(str(tmp_path), Durable()).read("p")]


def entry(data: bytes) -> bytes:
    return entry_head(digest_of(data), len(data)) + data


def forged(digest: Digest, stored: int, size: int) -> bytes:
    head = struct.pack("<4sIII32s", b"PPE1", 0, stored, size, bytes.fromhex(digest))
    return head + struct.pack("<I", zlib.crc32(head))


def test_an_entry_is_found_behind_whatever_is_damaged(tmp_path: Path) -> None:
    a, b = entry(b"a" * 100), entry(b"b" * 100)
    found = (digest_of(b"b" * 100), True)
    for bit in range(0, len(a) * 8, 37):
        broken = bytearray(a)
        broken[bit // 8] ^= 1 << bit % 8
        assert packed(tmp_path, bytes(broken), b)[-1] == found
    for length in (1, 51, 52, 53, 151):
        assert packed(tmp_path, a[:length], b)[-1] == found
    for length in ((1 << 20) - 3, (1 << 20) + 1, (3 << 20) + 7):  # heads across the blocks in which it is looked for
        assert packed(tmp_path, bytes(length), b) == [found]
    assert packed(tmp_path, a, b[:60]) == [(digest_of(b"a" * 100), True), (digest_of(b"b" * 100), False)]


def test_heads_that_lie_are_not_believed(tmp_path: Path) -> None:
    """Content may look like an entry, and where the head before it is damaged, it is taken for one."""
    data = b"z" * 10
    assert packed(tmp_path, b"?", forged(digest_of(data), 10, 999), data) == [], "its size would be recorded"
    before = read_peak_bytes()
    assert packed(tmp_path, forged(digest_of(data), 2**32 - 1, 2**32 - 1), entry(data)) == [
        (digest_of(data), False),
        (digest_of(data), True),
    ]
    assert read_peak_bytes() - before < 1 << 30
    start = time.monotonic()
    assert packed(tmp_path, b"PPE1" * (1 << 18), entry(data)) == [(digest_of(data), True)]
    assert time.monotonic() - start < 15


def read_peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmPeak:")[1].split()[0]) * 1024


def bad_sector(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """From here on nothing can be read that includes this byte."""
    real = posix.read_at

    def fails(fd: int, length: int, offset: int) -> bytes:
        if offset <= at < offset + length:
            raise OSError(errno.EIO, "injected")
        return real(fd, length, offset)

    monkeypatch.setattr(posix, "read_at", fails)


def test_entries_on_both_sides_of_a_bad_sector_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datas = [bytes([n]) * 20_000 for n in range(1, 6)]
    bad_sector(monkeypatch, len(MAGIC) + 2 * (HEAD_BYTES + 20_000) + 10_000)
    found = packed(tmp_path, *map(entry, datas))
    assert [digest for digest, intact in found if intact] == [digest_of(data) for data in datas if data[0] != 3]


def test_lines_of_the_log_on_both_sides_of_a_bad_sector_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable = Durable()
    signer, log = Signer.create(str(tmp_path / "key"), durable), ReceiptsLog(str(tmp_path), durable)
    for sequence in range(1, 401):
        version = Version(sequence, b"/%d" % sequence, 1, VersionStatus.ACTIVE, True, Facts(), None, 0, 0)
        log.append([recorded(version, Whose("s", "o", "h"), "h")], signer)
    log.close()
    bad_sector(monkeypatch, 100_000)
    read = list(log.read())
    found = {entry.receipt.sequence for batch in read if batch for entry in batch.entries}
    assert found < set(range(1, 401))
    assert len(found) > 370
    assert {1, 400} <= found


async def test_held_content_that_is_gone_is_missing_and_its_neighbours_are_not(server: Server, client: Client) -> None:
    datas = [content(1000, n) for n in range(2)]
    for n, data in enumerate(datas):
        await client.upload(f"/{n}", data)
    path, _ = await server.place(sha(datas[1]))
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    puts = [client_put(f"/again/{n}", data, gen=9, content="held") for n, data in enumerate(datas)]
    answer = await client.batch(*puts)
    assert [result["status"] for result in answer.json()["results"]] == ["stored", "missing"]


class Synced(Durable):
    """Remembers what was synced."""

    def __init__(self) -> None:
        super().__init__()
        self.inodes: set[int] = set()

    def sync(self, fd: int) -> None:
        super().sync(fd)
        self.inodes.add(os.fstat(fd).st_ino)

    def sync_dir(self, path: str) -> None:
        super().sync_dir(path)
        self.inodes.add(os.stat(path).st_ino)


async def test_what_a_killed_process_left_is_durable_before_it_is_relied_upon(tmp_path: Path) -> None:
    """Its bytes may be in memory only: recorded as present, and lost with the next power cut, they would be missed."""
    for name in ("blobs/aa/bb", "packs", "quarantine"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "packs" / "p.pack").write_bytes(MAGIC + entry(b"data"))
    durable = Synced()
    with ThreadPoolExecutor(1) as executor:
        places = [str(tmp_path / name) for name in ("blobs", "packs", "quarantine")]
        store = FilesystemContent(*places, durable, executor)
        assert [found.intact async for found in store.scan()] == [True]
    for name in ("blobs", "blobs/aa", "blobs/aa/bb", "packs/p.pack"):
        assert (tmp_path / name).stat().st_ino in durable.inodes, name
