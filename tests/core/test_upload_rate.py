"""How large a chunk to propose, and what is known of the way to the server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pp_assist.core.upload_rate import LONGEST_PATIENCE_S, SMALLEST_BYTES, TARGET_S, UploadRate, proposal
from pp_server.wire.chunks import COMFORTABLE_CHUNKS, KIB, MAX_CHUNK_BYTES, MIB, chunk_count

GIB = 1024 * MIB


@pytest.mark.parametrize(
    ("bytes_per_s", "largest", "file_bytes", "chunk"),
    [
        (None, 4 * MIB, 0, 4 * MIB),
        (None, 4 * MIB, 100 * MIB, 4 * MIB),
        (10 * MIB, 4 * MIB, 100 * MIB, 4 * MIB),
        (4 * MIB / 20, 4 * MIB, 100 * MIB, 4 * MIB),
        (4 * MIB / 20 - 1, 4 * MIB, 100 * MIB, 2 * MIB),
        (100_000, 4 * MIB, 100 * MIB, 1 * MIB),
        (50_000, 4 * MIB, 100 * MIB, 512 * KIB),
        (20_000, 4 * MIB, 100 * MIB, 256 * KIB),
        (1_000, 4 * MIB, 100 * MIB, 256 * KIB),
        (0.001, 4 * MIB, 100 * MIB, 256 * KIB),
        (10 * MIB, 3 * MIB, 100 * MIB, 3 * MIB),
        (1_000, 4 * MIB, 10_000 * 256 * KIB, 256 * KIB),
        (1_000, 4 * MIB, 10_000 * 256 * KIB + 1, 512 * KIB),
        (1_000, 4 * MIB, 100 * GIB, 16 * MIB),
        (None, 4 * MIB, 100 * GIB, 16 * MIB),
        (None, 64 * MIB, 100 * GIB, 64 * MIB),
        (None, 4 * MIB, 5000 * GIB, 64 * MIB),
    ],
)
def test_a_chunk_takes_about_twenty_seconds(
    bytes_per_s: float | None, largest: int, file_bytes: int, chunk: int
) -> None:
    assert proposal(bytes_per_s, largest, file_bytes) == chunk


@given(
    st.none() | st.floats(min_value=0.001, max_value=1e12),
    st.integers(1, 64).map(lambda mib: mib * MIB),
    st.integers(0, 10_000 * MAX_CHUNK_BYTES),
)
def test_a_proposal_is_always_possible(bytes_per_s: float | None, largest: int, file_bytes: int) -> None:
    chunk = proposal(bytes_per_s, largest, file_bytes)
    assert SMALLEST_BYTES <= chunk <= MAX_CHUNK_BYTES
    assert chunk_count(file_bytes, chunk) <= COMFORTABLE_CHUNKS
    if chunk > largest:
        assert chunk_count(file_bytes, chunk // 2) > COMFORTABLE_CHUNKS


def test_newer_chunks_count_more() -> None:
    rate = UploadRate()
    rate.sent(MIB, 1.0)
    assert rate.bytes_per_s == MIB
    rate.sent(MIB, 2.0)
    assert rate.bytes_per_s == pytest.approx(0.3 * MIB / 2 + 0.7 * MIB)
    for _ in range(30):
        rate.sent(MIB, 10.0)
    assert rate.bytes_per_s == pytest.approx(MIB / 10, rel=0.01)


def test_chunks_that_say_nothing_are_not_counted() -> None:
    rate = UploadRate()
    rate.sent(100, 0.05)
    rate.sent(MIB, 0.0)
    rate.broke(4 * MIB, 1.0)  # a server that is not there is not slow
    rate.broke(100, 100.0)
    assert rate.bytes_per_s is None


def test_a_chunk_that_had_time_and_did_not_arrive_makes_the_next_one_smaller() -> None:
    rate = UploadRate()
    rate.broke(4 * MIB, 60.0)
    assert rate.bytes_per_s == pytest.approx(4 * MIB / 120)
    assert proposal(rate.bytes_per_s, 4 * MIB, 100 * MIB) == 512 * KIB
    before = proposal(rate.bytes_per_s, 4 * MIB, 100 * MIB)
    rate.broke(512 * KIB, 60.0)
    assert proposal(rate.bytes_per_s, 4 * MIB, 100 * MIB) < before
    fast = UploadRate()
    fast.sent(4 * MIB, 0.1)
    fast.broke(4 * MIB, 80.0)
    assert fast.bytes_per_s == pytest.approx(4 * MIB / 160)


def test_patience_grows_with_what_is_under_way() -> None:
    rate = UploadRate()
    assert rate.patience_s(4 * MIB) == 0
    rate.sent(MIB, TARGET_S)
    assert rate.patience_s(MIB) == pytest.approx(4 * TARGET_S)
    assert rate.patience_s(MAX_CHUNK_BYTES) == LONGEST_PATIENCE_S
