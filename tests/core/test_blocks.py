"""Digests of blocks: any way of feeding them gives the same, and any change in a whole block is seen."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pp_assist.core.blocks import (
    DIGEST_BYTES,
    MOST_BLOCKS,
    SMALLEST_BLOCK_BYTES,
    BlockDigester,
    agrees,
    block_bytes,
    same_spans,
)

B = SMALLEST_BLOCK_BYTES
CONTENT = bytes(range(256)) * (B * 3 // 256) + b"the last block is shorter"


def digests(content: bytes, cuts: list[int]) -> bytes:
    digester = BlockDigester(len(content))
    places = [0, *sorted(cuts), len(content)]
    for first, last in itertools.pairwise(places):
        digester.feed(memoryview(content)[first:last])
    return digester.digests()


@given(st.lists(st.integers(0, len(CONTENT)), max_size=6))
def test_pieces_do_not_matter(cuts: list[int]) -> None:
    assert digests(CONTENT, cuts) == digests(CONTENT, [])


def test_there_is_one_digest_for_each_block_begun() -> None:
    for size, count in ((1, 1), (B, 1), (B + 1, 2), (3 * B, 3)):
        assert len(digests(bytes(size), [])) == count * DIGEST_BYTES


def test_files_of_every_size_have_few_blocks_of_a_power_of_two() -> None:
    for exponent in range(63):
        length = block_bytes(1 << exponent)
        assert length.bit_count() == 1
        assert (1 << exponent) / length <= MOST_BLOCKS


@given(st.integers(0, len(CONTENT) - 1))
def test_a_changed_byte_is_seen_in_the_chunk_that_has_it_and_in_no_other(position: int) -> None:
    known = digests(CONTENT, [])
    changed = bytearray(CONTENT)
    changed[position] ^= 1
    for chunk in (B, 2 * B):
        for offset in range(0, len(CONTENT), chunk):
            is_in_it = offset <= position < offset + chunk
            assert agrees(known, len(CONTENT), offset, bytes(changed[offset : offset + chunk])) is not is_in_it


def test_chunks_of_odd_lengths_are_judged_by_the_blocks_they_hold_whole() -> None:
    known = digests(CONTENT, [])
    chunk = 2 * B - 7  # holds the first block whole, and most of the second
    assert agrees(known, len(CONTENT), 0, CONTENT[:chunk])
    assert not agrees(known, len(CONTENT), 0, b"\xff" + CONTENT[1:chunk])
    assert agrees(known, len(CONTENT), 0, CONTENT[: chunk - 1] + b"\xff")
    rest = CONTENT[chunk:]
    assert agrees(known, len(CONTENT), chunk, rest)
    assert not agrees(known, len(CONTENT), chunk, rest[:-1] + b"\xff")


@given(st.lists(st.integers(0, len(CONTENT) - 1), max_size=3), st.integers(-2 * B, 2 * B))
def test_what_two_versions_share_is_the_same_in_both_and_all_whole_blocks_are_found(
    changes: list[int], longer: int
) -> None:
    new = bytearray(CONTENT)
    for position in changes:
        new[position] ^= 1
    new = new[: len(CONTENT) + longer] + bytes(max(0, longer))
    spans = same_spans(digests(CONTENT, []), len(CONTENT), digests(bytes(new), []), len(new), 100)
    assert all(end < first <= last for (_, end), (first, last) in itertools.pairwise([(0, -2), *spans]))
    assert all(CONTENT[first : last + 1] == new[first : last + 1] for first, last in spans)
    covered = sum(last + 1 - first for first, last in spans)
    assert covered >= min(len(new), len(CONTENT)) // B * B - B * len(set(changes))


def test_the_longest_spans_are_kept() -> None:
    old, new = bytes(16 * 6), bytearray(16 * 6)
    new[16] = 1  # the same: block 0, blocks 2 to 5
    assert same_spans(old, 6 * B, bytes(new), 6 * B, 1) == [(2 * B, 6 * B - 1)]


def test_blocks_of_other_lengths_tell_nothing() -> None:
    small, large = MOST_BLOCKS * B, 2 * MOST_BLOCKS * B
    assert same_spans(bytes(16 * MOST_BLOCKS), small, bytes(16 * MOST_BLOCKS), large, 9) == []
