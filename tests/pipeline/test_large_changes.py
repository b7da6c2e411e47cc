"""A large file of which little changes: little is sent."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pair import Pair, noise, write

from pp_server.uploads.borrow import Borrower

MIB = 1 << 20
SIZE = 24 * MIB + 1000
OLD = noise(SIZE, 1)


def overwritten(data: bytes) -> bytes:
    return data[: 9 * MIB - 2000] + b"changed" * 500 + data[9 * MIB + 1500 :]


def touched_twice(data: bytes) -> bytes:
    return data[: MIB + 3] + b"again" + data[MIB + 8 : 7 * MIB] + b"again" + data[7 * MIB + 5 :]


def appended(data: bytes) -> bytes:
    return data + noise(5000, 2)


def cut(data: bytes) -> bytes:
    return data[: 11 * MIB + 5]


def exchanged(data: bytes) -> bytes:
    return noise(len(data), 3)


@pytest.mark.parametrize(
    ("change", "most"),
    [(overwritten, 2 * MIB), (appended, 2 * MIB), (cut, MIB), (exchanged, SIZE)],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_only_chunks_that_changed_are_sent(pair: Pair, change: Callable[[bytes], bytes], most: int) -> None:
    big = pair.tree / "big.bin"
    write(big, OLD)
    await pair.assert_equal()
    before = pair.bytes_sent
    for number in range(2):  # the second change is one to the changed version
        write(big, (change if number == 0 else touched_twice)(big.read_bytes()))
        await pair.assert_equal()
        sent, before = pair.bytes_sent - before, pair.bytes_sent
        assert 0 < sent <= (most if number == 0 else 2 * MIB)


async def test_a_server_that_has_the_old_version_no_more_gets_all_of_the_new_one(pair: Pair) -> None:
    big = pair.tree / "big.bin"
    write(big, OLD)
    await pair.assert_equal()
    for path in Path(pair.folder).glob("**/blobs/*/*/*"):
        path.unlink()
    write(big, overwritten(OLD))
    before = pair.bytes_sent
    await pair.settle()
    assert pair.bytes_sent - before >= SIZE


async def test_a_server_that_copies_nothing_gets_everything(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None:
        """As a server of before would do."""

    monkeypatch.setattr(Borrower, "begin", nothing)
    big = pair.tree / "big.bin"
    write(big, OLD)
    await pair.assert_equal()
    write(big, overwritten(OLD))
    await pair.assert_equal()
    assert pair.bytes_sent == 2 * SIZE
