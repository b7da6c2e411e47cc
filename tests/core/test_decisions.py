"""The smaller decisions: when is a file at rest, what follows a hash, how long to wait, what events boil down to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pp_assist.core.backoff import LONGEST_DELAY_S, delay_ms
from pp_assist.core.breaker import LONGEST_OPEN_S, Breaker
from pp_assist.core.hints import MAX_HINTS, Hints
from pp_assist.core.lifecycle import after_hash, was_sent
from pp_assist.core.model import Claim, FileState, Folder, Hashed, Location, Stage, Stat, Stored
from pp_assist.core.rate import Rate
from pp_assist.core.rest import Rest, is_racy
from pp_assist.core.schedule import Plan, next_scan_after_s

S = 1_000_000_000
NOW_MS = 1_700_000_000_000
NOW_NS = NOW_MS * 1_000_000


def stat(mtime_ns: int, ctime_ns: int) -> Stat:
    return Stat(1, mtime_ns, ctime_ns, 1, 1)


@pytest.mark.parametrize(
    ("seen", "closed", "wait_ms"),
    [
        (stat(NOW_NS - 2 * S, NOW_NS - 2 * S), False, 0),
        (stat(NOW_NS - 2 * S, NOW_NS - S), False, 2000),
        (stat(NOW_NS - S, NOW_NS - 9 * S), False, 2000),
        (stat(NOW_NS - S, NOW_NS - S), True, 100),
        (stat(NOW_NS + 900 * S, NOW_NS - 3 * S), False, 0),
        (stat(NOW_NS + 900 * S, NOW_NS - S), False, 2000),
        (stat(NOW_NS, NOW_NS + 900 * S), False, 2000),
    ],
)
def test_a_file_is_at_rest_when_left_alone_for_the_quiet_time(seen: Stat, closed: bool, wait_ms: int) -> None:
    assert Rest(2000).eligible_at_ms(seen, NOW_MS, closed) == NOW_MS + wait_ms


@pytest.mark.parametrize(
    ("seen", "closed", "wait_ms"),
    [
        (stat(NOW_NS - 60 * S, NOW_NS - 61 * S), False, 0),
        (stat(NOW_NS - 59 * S, NOW_NS - 90 * S), False, 1000),
        (stat(NOW_NS - 90 * S, NOW_NS - 10 * S), False, 50_000),
        (stat(NOW_NS - S, NOW_NS - S), True, 59_000),
        (stat(NOW_NS + 900 * S, NOW_NS - 30 * S), False, 30_000),
        (stat(NOW_NS, NOW_NS + 900 * S), False, 60_000),
    ],
)
def test_a_file_waits_until_it_is_old_enough(seen: Stat, closed: bool, wait_ms: int) -> None:
    assert Rest(2000, 60_000).eligible_at_ms(seen, NOW_MS, closed) == NOW_MS + wait_ms


def test_racy_is_what_was_touched_within_the_clock_grain_of_its_hash() -> None:
    assert is_racy(stat(NOW_NS, NOW_NS), NOW_NS)
    assert is_racy(stat(0, NOW_NS - 10_000_000), NOW_NS)
    assert not is_racy(stat(0, NOW_NS - 30_000_000), NOW_NS)
    assert not is_racy(stat(NOW_NS + 999 * S, NOW_NS - S), NOW_NS)  # a future mtime must not mean for ever
    assert not is_racy(stat(0, NOW_NS + 999 * S), NOW_NS)  # the clock was put back: not hashed again and again


HASHED = Hashed(stat(5, 6), 0o644, 1, 2, "a" * 64)
STORED = Stored(3, "a" * 64, 5, 0o644, 1, 2, sent=True)


def claim(stored: Stored | None, gen: int = 4, offered: int | None = None) -> Claim:
    where = Location(Folder(1, b"/r", 1, 1, b"", b"/r"), b"f")
    return Claim(1, gen, Stage.CHECKSUM, 0, 0, where, offered, HASHED.stat, None, stored)


def test_a_file_the_server_has_is_not_sent() -> None:
    plan = after_hash(claim(STORED), HASHED)
    assert (plan.send, plan.state) == (False, FileState.COMPLETED)
    assert after_hash(claim(STORED._replace(sent=False)), HASHED).state is FileState.UNCHANGED


def test_a_file_touched_before_its_first_upload_is_still_sent() -> None:
    """The question is what the server has, not whether the digest changed."""
    assert after_hash(claim(None), HASHED).send


@pytest.mark.parametrize("field", ["sha256", "mtime_ns", "mode", "uid", "gid"])
def test_a_difference_in_anything_a_restore_needs_is_told(field: str) -> None:
    other = STORED._replace(**{field: "b" * 64 if field == "sha256" else 77})
    assert after_hash(claim(other), HASHED).send


def test_a_generation_is_never_used_for_two_contents() -> None:
    changed = STORED._replace(sha256="b" * 64)
    assert after_hash(claim(changed, gen=3, offered=3), HASHED).new_gen
    assert not after_hash(claim(changed, gen=4, offered=3), HASHED).new_gen


def test_a_receipt_does_not_count_once_a_newer_version_was_offered() -> None:
    assert after_hash(claim(STORED, gen=9, offered=STORED.gen + 1), HASHED).send
    assert not after_hash(claim(STORED, gen=9, offered=STORED.gen), HASHED).send


def test_completed_means_our_bytes_unchanged_means_none_were_needed() -> None:
    assert was_sent(claim(None), HASHED, bytes_sent=1)
    assert not was_sent(claim(None), HASHED, bytes_sent=0)
    assert was_sent(claim(STORED), HASHED, bytes_sent=0)
    assert was_sent(claim(None), HASHED._replace(stat=Stat(0, 1, 1, 1, 1)), bytes_sent=0)


@given(st.integers(0, 10_000), st.floats(0, 0.999))
def test_delays_grow_and_stay_within_bounds(attempts: int, jitter: float) -> None:
    assert 500 <= delay_ms(attempts, jitter) <= LONGEST_DELAY_S * 1000
    assert delay_ms(attempts, jitter) <= 2 ** min(attempts, 20) * 1000


def test_retry_after_is_a_lower_bound_that_is_believed_up_to_an_hour() -> None:
    assert delay_ms(0, 0.0, retry_after_s=7) == 7000
    assert delay_ms(0, 0.0, retry_after_s=1e9) == LONGEST_DELAY_S * 1000


def test_the_breaker_opens_at_once_when_nobody_answers_and_at_the_third_failure_otherwise() -> None:
    breaker = Breaker()
    breaker.failed(0, "server_unreachable", 0.5, certain=True)
    assert breaker.is_open
    assert 0 < breaker.wait_ms(0) <= LONGEST_OPEN_S * 1000
    breaker.succeeded()
    assert (breaker.is_open, breaker.wait_ms(0)) == (False, 0)
    for expected in (False, False, True):
        breaker.failed(0, "server_trouble", 0.5, certain=False)
        assert breaker.is_open is expected


def test_requests_that_fail_while_it_is_open_do_not_lengthen_the_wait() -> None:
    breaker = Breaker()
    breaker.failed(0, "server_unreachable", 0.5, certain=True)
    wait = breaker.wait_ms(0)
    for _ in range(50):
        breaker.failed(1, "server_unreachable", 0.5, certain=True)
    assert breaker.wait_ms(0) == wait


def test_the_breaker_never_waits_longer_than_half_a_minute() -> None:
    breaker, now = Breaker(), 0
    for _ in range(100):
        breaker.failed(now, "server_unreachable", 0.999, certain=True)
        assert breaker.wait_ms(now) <= LONGEST_OPEN_S * 1000
        now += breaker.wait_ms(now)


def test_events_boil_down_to_names_per_directory() -> None:
    hints = Hints()
    for directory, name, closed in [(b"d", b"a", False), (b"d", b"a", True), (b"d", b"a", False), (b"", b"b", False)]:
        hints.add(1, directory, name, closed)
    assert hints.names == {(1, b"d"): {b"a": True}, (1, b""): {b"b": False}}


def test_too_many_events_become_one_scan() -> None:
    hints = Hints()
    for number in range(MAX_HINTS + 10):
        hints.add(1, b"%d" % number, b"x", False)
    hints.add(2, b"", b"x", False)
    assert list(hints.suspect) == [1]
    assert hints.names == {(2, b""): {b"x": False}}
    hints = Hints()
    for number in range(MAX_HINTS + 10):
        hints.add_tree(1, b"%d" % number)
    assert list(hints.suspect) == [1]
    assert not hints.trees


def test_any_number_of_events_in_one_directory_is_one_listing() -> None:
    hints = Hints()
    for number in range(3 * MAX_HINTS):
        hints.add(1, b"d", b"%d" % number, False)
    assert not hints.suspect
    assert hints.count == len(hints.names[1, b"d"]) == MAX_HINTS
    assert hints.announces(1, b"d", b"not among those remembered")


def test_what_was_announced_is_a_name_or_lies_in_a_tree_that_came() -> None:
    hints = Hints()
    hints.add(1, b"d", b"x", False)
    hints.add_tree(1, b"a/b")
    for told, where in [(True, (b"d", b"x")), (False, (b"d", b"y")), (True, (b"a/b/c", b"z")), (False, (b"a", b"z"))]:
        assert hints.announces(1, *where) is told
        assert not hints.announces(2, *where)


@pytest.mark.parametrize(
    ("interval", "explicit", "took", "proven", "expected"),
    [
        (60, False, 0.1, False, 60),
        (60, False, 6, False, 120),
        (60, False, 1e6, False, 3600),
        (60, True, 600, False, 60),
        (60, True, 600, True, 60),
        (7200, False, 1, False, 7200),
        (60, False, 0.01, True, 60),
        (60, False, 0.5, True, 1000),
        (60, False, 6, True, 3600),
    ],
)
def test_scanning_costs_a_twentieth_of_a_core_and_hardly_anything_while_events_are_proven(
    interval: float, explicit: bool, took: float, proven: bool, expected: float
) -> None:
    assert next_scan_after_s(interval, explicit, took, proven) == expected


def test_what_is_due_depends_on_what_is_proven_now() -> None:
    plan = Plan(60, explicit=False)
    plan.begin(5)
    assert plan.full_ms(proven=True) == 5
    plan.scanned(1, took_ms=300, now_ms=800)
    plan.scanned(2, took_ms=200, now_ms=1000)
    plan.scanned_all(1000)
    assert plan.next_ms(proven=True) == 1_001_000
    assert plan.next_ms(proven=False) == 61_000


def test_a_folder_that_was_added_is_not_all_scanned_again_a_minute_later() -> None:
    plan = Plan(60, explicit=False)
    plan.begin(0)
    plan.scanned_all(5)  # nothing is watched yet
    assert plan.next_ms(proven=True) == 60_005
    plan.scanned(1, took_ms=500, now_ms=2000)
    assert plan.next_ms(proven=True) == 1_002_000
    plan.not_scanned(1)
    assert plan.next_ms(proven=False) == 60_005, "a disk that is away is soon looked for again"
    plan.scanned(1, took_ms=500_000, now_ms=2000)
    plan.rescan(1, 3000)
    plan.forget(1)
    assert plan.next_ms(proven=True) == 60_005


def test_a_doubtful_root_is_scanned_at_once_and_again_and_again_only_with_pauses() -> None:
    plan = Plan(3600, explicit=True)
    plan.scanned_all(0)
    plan.rescan(1, 100)
    plan.rescan(2, 200)
    assert plan.next_ms(proven=False) == 100
    assert plan.ripe(150) == {1}
    assert plan.ripe(300) == {2}
    plan.scanned(1, took_ms=10, now_ms=400)
    plan.scanned(2, took_ms=10_000, now_ms=400)
    for root_id in (1, 2, 1, 2):
        plan.rescan(root_id, 500)
    assert not plan.ripe(599)
    assert plan.ripe(600) == {1}
    assert plan.next_ms(proven=False) == 60_400
    assert plan.ripe(60_400) == {2}


def test_a_rate_is_that_of_the_last_ten_seconds() -> None:
    rate = Rate()
    rate.add(100, 0)
    rate.add(50, 9_000)
    assert (rate.total, rate.per_second(9_500), rate.per_second(15_000), rate.per_second(30_000)) == (150, 15, 5, 0)
