"""Rows of zstd frames: what is taken, what is refused, and how much memory that needs."""

import random
import sys

import pytest

from pp_server.wire import frames as module
from pp_server.wire.frames import (
    FREE_FRAMES,
    MAX_FRAME_BYTES,
    BadFrame,
    Data,
    Decoder,
    Encoder,
    Frame,
    decoded,
    sample_spans,
    zstd,
)

TEXT = b"".join(b"line %d of something that repeats itself\n" % n for n in range(40_000))
NOISE = random.Random(1).randbytes(700_000)


def all_of(decoder: Decoder, data: Data) -> list[Frame]:
    """Everything that comes of *data*."""
    found: list[Frame] = []
    while data:
        more, data = decoder.feed(data)
        found += more
    return found


def fed(data: bytes, step: int) -> list[bytes]:
    decoder = Decoder()
    found = [frame for at in range(0, len(data), step) for frame in all_of(decoder, data[at : at + step])]
    decoder.finish()
    assert b"".join(frame.encoded for frame in found) == data
    return [frame.plain for frame in found]


@pytest.mark.parametrize("data", [b"x", TEXT, NOISE, bytes(MAX_FRAME_BYTES)])
@pytest.mark.parametrize("step", [997, 70_000, 1 << 30])
def test_a_row_of_frames_may_be_cut_anywhere(data: bytes, step: int) -> None:
    plain = fed(b"".join(Encoder().frames(data)), step)
    assert b"".join(plain) == data
    assert {len(each) for each in plain[:-1]} <= {MAX_FRAME_BYTES}
    assert zstd.decompress(b"".join(Encoder().frames(data))) == data, "any tool can read it"


def test_one_byte_at_a_time() -> None:
    assert fed(b"".join([Encoder().frame(b"abc"), Encoder().frame(b"de" * 500)]), 1) == [b"abc", b"de" * 500]


@pytest.mark.parametrize("damage", [b"", b"PP", b"\0" * 20])
def test_what_is_not_zstd_is_refused(damage: bytes) -> None:
    with pytest.raises(BadFrame):
        Decoder().feed(damage + b"nonsense, and long enough to be sure of it")


def test_a_frame_that_ends_too_early_is_noticed_at_the_end() -> None:
    decoder = Decoder()
    assert decoder.feed(Encoder().frame(TEXT[:1000])[:-3]) == ([], b"")
    with pytest.raises(BadFrame):
        decoder.finish()
    with pytest.raises(BadFrame):
        decoded(Encoder().frame(TEXT[:1000])[:-3], 1000)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = zstd.compress(bytes(1 << 30), 3)
    assert len(bomb) < 100_000
    with pytest.raises(BadFrame):
        Decoder().feed(bomb)
    with pytest.raises(BadFrame):
        decoded(bomb, MAX_FRAME_BYTES)


def test_many_small_bombs_are_unpacked_a_few_at_a_time() -> None:
    """A piece of a body stands for thousands of times its length: never more of it is in memory than is wanted."""
    frame = Encoder().frame(bytes(MAX_FRAME_BYTES))
    decoder, rest, count = Decoder(), memoryview(frame * 2000), 0
    while rest:
        found, rest = decoder.feed(rest)
        assert sum(len(each.plain) for each in found) <= 5 * MAX_FRAME_BYTES
        count += len(found)
        if count >= 40:
            break
    assert count >= 40
    assert len(all_of(Decoder(), frame * 40)) == 40


def test_a_frame_that_holds_more_than_it_may_is_refused_though_it_needs_little_memory() -> None:
    """Its window is small, and its length is not announced: it has to be counted."""
    small = {zstd.CompressionParameter.window_log: 10, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=small)
    parts = [compressor.compress(bytes(1 << 16)) for _ in range(20)]
    frame = b"".join([*parts, compressor.flush()])
    with pytest.raises(BadFrame, match="may hold"):
        Decoder().feed(frame)
    with pytest.raises(BadFrame):
        decoded(frame, MAX_FRAME_BYTES)


def test_a_frame_that_never_ends_is_refused() -> None:
    """Blocks that hold nothing, for ever."""
    head = b"\x28\xb5\x2f\xfd" + bytes([0x00, 0x00])
    decoder = Decoder()
    with pytest.raises(BadFrame):
        for _ in range(1000):
            decoder.feed(head + bytes(3 * 1000))
            head = b""


def test_tiny_frames_cost_little_and_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs a decoder; what lies behind it in a piece is not copied again for each."""
    fed_bytes, real = 0, zstd.ZstdDecompressor

    class Counting:
        def __init__(self, options: dict[int, int]) -> None:
            self._real = real(options=options)

        def decompress(self, data: Data, max_length: int) -> bytes:
            nonlocal fed_bytes
            fed_bytes += len(data)
            return self._real.decompress(data, max_length)

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    monkeypatch.setattr(module.zstd, "ZstdDecompressor", Counting)
    tiny = Encoder().frame(b"x")
    decoder = Decoder()
    assert len(all_of(decoder, tiny * FREE_FRAMES)) == FREE_FRAMES
    assert fed_bytes <= FREE_FRAMES * 1024
    with pytest.raises(BadFrame, match="too many"):
        decoder.feed(tiny * 20)
    decoder = Decoder()
    for _ in range(FREE_FRAMES + 10):
        all_of(decoder, Encoder().frame(bytes(1024)))


def test_it_says_what_it_holds() -> None:
    decoder, frame = Decoder(), Encoder().frame(NOISE[:MAX_FRAME_BYTES])
    all_of(decoder, frame[:-1])
    assert decoder.held_bytes > 1.4 * MAX_FRAME_BYTES, "encoded, and most of what it holds"
    all_of(decoder, frame[-1:])
    assert decoder.held_bytes == 0


def test_frames_that_hold_nothing_are_refused() -> None:
    with pytest.raises(BadFrame, match="nothing"):
        Decoder().feed(Encoder().frame(b""))
    skipped = (0x184D2A50).to_bytes(4, "little") + (4).to_bytes(4, "little") + b"none"
    with pytest.raises(BadFrame):
        Decoder().feed(skipped)


def test_a_frame_with_something_behind_it_or_with_another_length_is_not_one_frame() -> None:
    frame = Encoder().frame(b"content")
    assert decoded(frame, 7) == b"content"
    for wrong in (frame + b"x", frame + frame):
        with pytest.raises(BadFrame):
            decoded(wrong, 7)
    for size in (0, 6, 8):
        with pytest.raises(BadFrame):
            decoded(frame, size)


def test_samples_tell_what_is_worth_it() -> None:
    encoder = Encoder()
    for data, worthwhile in ((TEXT, True), (NOISE, False), (b"", False)):
        spans = sample_spans(len(data))
        assert all(0 <= at < at + length <= len(data) for at, length in spans)
        assert encoder.is_worthwhile([data[at : at + length] for at, length in spans]) is worthwhile


def test_the_library_is_the_standard_one_where_there_is_one() -> None:
    expected = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    assert zstd.__name__ == expected
