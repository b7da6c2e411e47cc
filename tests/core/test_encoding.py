"""What is compressed before it is sent, and what is not."""

import random

import pytest

from pp_assist.core.compression import Compression
from pp_assist.uploader.encoding import FAST_BYTES_PER_S, batch_body, chunk_body
from pp_server.wire.frames import Data, Decoder, Frame

AUTO, ALWAYS, NEVER = Compression
TEXT = [b"content %d, which says much the same as the others\n" % n * 40 for n in range(100)]
NOISE = [random.Random(n).randbytes(3000) for n in range(100)]
HEAD = [b'{"operations":[]}\n' * 20_000]


def frames_of(body: list[bytes]) -> list[Frame]:
    decoder = Decoder()
    frames: list[Frame] = []
    rest: Data = b"".join(body)
    while rest:
        found, rest = decoder.feed(rest)
        frames += found
    decoder.finish()
    return frames


@pytest.mark.parametrize(
    ("compression", "contents", "encoding"),
    [
        (AUTO, TEXT, "zstd"),
        (AUTO, NOISE, None),
        (AUTO, TEXT[:50] + NOISE[:3], "zstd"),
        (AUTO, [], None),
        (AUTO, [b""] * 3, None),
        (ALWAYS, NOISE, "zstd"),
        (ALWAYS, [], "zstd"),
        (NEVER, TEXT, None),
    ],
)
def test_a_batch_is_compressed_where_that_pays(compression, contents, encoding) -> None:
    body, said = batch_body(compression, HEAD, contents)
    assert said == encoding
    whole = b"".join([*HEAD, *contents])
    if encoding is None:
        assert b"".join(body) == whole
    else:
        frames = frames_of(body)
        assert b"".join(frame.plain for frame in frames) == whole
        assert [frame.plain for frame in frames][-len(contents) or len(frames) :] == contents, "one frame for each"


def test_contents_of_nothing_have_no_frame() -> None:
    body, _ = batch_body(ALWAYS, [b"{}\n"], [b"a", b"", b"b"])
    assert [frame.plain for frame in frames_of(body)] == [b"{}\n", b"a", b"b"]


@pytest.mark.parametrize(
    ("compression", "rate", "content", "encoding"),
    [
        (AUTO, None, b"".join(TEXT), "zstd"),
        (AUTO, 1e6, b"".join(TEXT), "zstd"),
        (AUTO, FAST_BYTES_PER_S * 2, b"".join(TEXT), None),
        (AUTO, 1e6, b"".join(NOISE), None),
        (ALWAYS, 1e12, b"".join(NOISE), "zstd"),
        (NEVER, 1.0, b"".join(TEXT), None),
    ],
)
def test_a_chunk_is_compressed_where_the_way_is_what_takes_the_time(compression, rate, content, encoding) -> None:
    body, said = chunk_body(compression, rate, content)
    assert said == encoding
    plain = b"".join(body) if encoding is None else b"".join(frame.plain for frame in frames_of(body))
    assert plain == content
