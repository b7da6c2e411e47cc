"""The contract's pure parts: names, digests, chunk arithmetic, messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pp_server.wire.chunks import (
    MAX_CHUNK_BYTES,
    MAX_CHUNKS,
    MIB,
    choose_chunk_bytes,
    chunk_count,
    chunk_span,
    missing_ranges,
    numbers_in,
)
from pp_server.wire.digest import EMPTY, parse_digest
from pp_server.wire.messages import DeletionsRequest, InitiateRequest
from pp_server.wire.names import below, from_json, json_fields, query_bytes, to_json, to_query
from pp_server.wire.times import iso

GOOD = {"filepath": "/a", "file_size": 1, "sha256": EMPTY}


@given(st.binary(min_size=1, max_size=64).filter(lambda b: b"\0" not in b))
def test_any_name_survives_json_and_query(path: bytes) -> None:
    assert from_json(*to_json(path)) == path
    assert query_bytes(b"x=1&p=" + to_query(path).encode(), "p") == path


def test_valid_utf8_needs_no_base64() -> None:
    assert json_fields("né文.txt".encode()) == {"filepath": "né文.txt"}
    assert json_fields(b"caf\xe9") == {"filepath": "caf�", "filepath_b64": "Y2Fm6Q=="}


@pytest.mark.parametrize("plain", ["", "a\0b", "\ud800", "x" * 4096])
def test_impossible_names_are_refused(plain: str) -> None:
    with pytest.raises(ValueError):
        from_json(plain)


@pytest.mark.parametrize("encoded", ["Y2Fm6Q", "Y2Fm\n6Q==", "é", "AA=="])
def test_broken_base64_is_refused(encoded: str) -> None:
    with pytest.raises(ValueError):
        from_json("x", encoded)


@given(st.binary(min_size=1, max_size=20), st.binary(max_size=20))
def test_the_range_below_a_directory_is_exactly_its_descendants(directory: bytes, other: bytes) -> None:
    first, last = below(directory)
    stem = directory.rstrip(b"/")
    assert (first <= other < last) == other.startswith(stem + b"/")


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "a" * 64 + "\n", "../" + "a" * 61, "٣" * 64])
def test_digests_are_64_lower_case_hex_digits(text: str) -> None:
    with pytest.raises(ValueError):
        parse_digest(text)


@given(st.integers(0, 10**7), st.integers(1024, 10**6))
def test_chunks_cover_a_file_exactly_once(size: int, chunk: int) -> None:
    total = chunk_count(size, chunk)
    spans = [chunk_span(size, chunk, n) for n in range(total)]
    assert sum(length for _, length in spans) == size
    assert [offset for offset, _ in spans] == [n * chunk for n in range(total)]
    assert all(0 < length <= chunk for _, length in spans)


@given(st.integers(0, 200), st.sets(st.integers(0, 199)))
def test_missing_is_the_complement_of_received(total: int, received: set[int]) -> None:
    received = {n for n in received if n < total}
    assert numbers_in(missing_ranges(total, received)) == [n for n in range(total) if n not in received]


@pytest.mark.parametrize(
    ("size", "cap", "expected"),
    [(0, None, 4 * MIB), (10, None, 4 * MIB), (100_000 * MIB, None, 10 * MIB), (10**15, None, MAX_CHUNK_BYTES)]
    + [(100_000 * MIB, 8 * MIB, 8 * MIB), (5, 1024, 1024)],
)
def test_the_server_names_a_chunk_size_that_fits(size: int, cap: int | None, expected: int) -> None:
    assert choose_chunk_bytes(size, cap) == expected
    if size <= 10**12 and cap is None:
        assert chunk_count(size, expected) <= MAX_CHUNKS


@pytest.mark.parametrize(
    ("field", "value"),
    [("filepath", ""), ("filepath", "a\0"), ("sha256", "A" * 64), ("file_size", -1), ("file_size", 2**53)]
    + [("file_size", "12"), ("file_size", 1.5), ("gen", True), ("max_chunk_size", 1), ("mode", 0o10000), ("kind", "x")]
    + [("filepath_b64", "!"), ("hostname", "h" * 256)],
)
def test_bad_fields_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        InitiateRequest.model_validate(GOOD | {field: value})


def test_unknown_fields_are_ignored() -> None:
    assert InitiateRequest.model_validate(GOOD | {"ip_address": "1.2.3.4", "color": "blue"}).path == b"/a"


def test_a_deletion_request_is_bounded() -> None:
    with pytest.raises(ValidationError):
        DeletionsRequest.model_validate({"files": [{"filepath": "/a", "sha256": EMPTY}] * 1001})


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "1970-01-01T00:00:00.000Z"), (1_700_000_000_123, "2023-11-14T22:13:20.123Z")]
)
def test_times_are_utc_with_milliseconds(ms: int, text: str) -> None:
    assert iso(ms) == text


@pytest.mark.parametrize("ms", [2**62, -(2**62)])
def test_absurd_times_do_not_raise(ms: int) -> None:
    assert iso(ms).endswith("Z")
