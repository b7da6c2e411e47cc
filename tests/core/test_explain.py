"""Why a path is where it is: a table of what is known and seen against the answer."""

import pytest

from pp_assist.core.explain import Blame, Explanation, Known, Sight, Verdict, explain, not_watched
from pp_assist.core.model import NOT_TAKEN, FileState, Kind, Stage, WorkState
from pp_assist.core.patterns import Rule
from pp_assist.core.rules import LeftOut

NOW_MS = 1_700_000_000_000
LATER_MS = NOW_MS + 5000
THERE = Sight(kind=Kind.FILE, size_bytes=10, mtime_ns=7)
GONE = Sight()
RULE = Rule("*.o", "setting", 1)


def known(state: FileState = FileState.DISCOVERED, stage: Stage | None = None, work: WorkState | None = None, **more):  # type: ignore[no-untyped-def]
    return Known(state, **{"size_bytes": 10, "mtime_ns": 7, "stage": stage, "work_state": work} | more)


STORED = known(FileState.COMPLETED)
FOLDER, LINK = known(FileState.COMPLETED, kind=Kind.DIR), known(FileState.COMPLETED, kind=Kind.SYMLINK)
NOT_SENT = known(FileState.UNSUPPORTED, kind=Kind.SYMLINK, reason=NOT_TAKEN)
READY, DISCOVERED, VANISHED = FileState.READY_FOR_UPLOAD, FileState.DISCOVERED, FileState.VANISHED
HASH, SEND, SECOND, TELL = Stage.CHECKSUM, Stage.UPLOAD, Stage.VANISHED, Stage.DELETION
WAITING, BACKOFF, PARKED, HELD = WorkState


@pytest.mark.parametrize(
    ("sight", "row", "obstacle", "expected"),
    [
        (THERE, STORED, None, "stored stored file"),
        (THERE, known(FileState.UNCHANGED), "server_unreachable", "stored stored file"),
        (Sight(kind=Kind.FILE, size_bytes=11, mtime_ns=7), STORED, None, "pending not_seen_yet waiting"),
        (Sight(kind=Kind.FILE, size_bytes=10, mtime_ns=8), STORED, None, "pending not_seen_yet waiting"),
        (THERE, None, None, "pending not_seen_yet waiting"),
        (THERE, known(FileState.EXCLUDED), None, "pending not_seen_yet waiting"),
        (THERE, known(DISCOVERED), None, "pending not_seen_yet waiting"),
        (GONE, None, None, "unknown not_there file"),
        (GONE, STORED, None, "pending missing waiting"),
        (Sight(kind=Kind.DIR, is_root=True), None, None, "unsupported watched_folder rule"),
        (Sight(kind=Kind.DIR), None, None, "pending not_seen_yet waiting"),
        (Sight(kind=Kind.DIR, size_bytes=4096, mtime_ns=7), FOLDER, None, "stored stored file"),
        (Sight(kind=Kind.DIR, size_bytes=8192, mtime_ns=7), FOLDER, None, "stored stored file"),
        (Sight(kind=Kind.DIR, size_bytes=4096, mtime_ns=8), FOLDER, None, "pending not_seen_yet waiting"),
        (Sight(kind=Kind.DIR, size_bytes=10, mtime_ns=7), STORED, None, "pending not_seen_yet waiting"),
        (Sight(kind=Kind.SYMLINK, size_bytes=10, mtime_ns=7), STORED, None, "pending not_seen_yet waiting"),
        (Sight(kind=Kind.SYMLINK, size_bytes=10, mtime_ns=7), LINK, None, "stored stored file"),
        (Sight(kind=Kind.SYMLINK), NOT_SENT, None, "unsupported not_taken_by_server server"),
        (THERE, known(FileState.COMPLETED, moving=True), None, "pending moving waiting"),
        (Sight(out=LeftOut("behind_a_link")), STORED, None, "excluded behind_a_link rule"),
        (Sight(kind=Kind.FIFO, unsupported="fifo"), None, None, "unsupported fifo file"),
        (Sight(kind=Kind.FILE, unsupported="path too long"), None, None, "unsupported path_too_long file"),
        (Sight(problem="Permission denied"), STORED, None, "unknown unreadable file"),
        (Sight(root_problem="gone"), STORED, None, "unknown root_unhealthy person"),
        (Sight(out=LeftOut("pattern", RULE)), None, None, "excluded pattern rule"),
        (Sight(kind=Kind.FILE, out=LeftOut("pattern", RULE)), STORED, "no_server", "excluded pattern rule"),
        (Sight(kind=Kind.DIR, out=LeftOut("other_file_system")), None, None, "excluded other_file_system rule"),
        (THERE, known(DISCOVERED, HASH, WAITING), None, "pending in_line waiting"),
        (THERE, known(DISCOVERED, HASH, WAITING, eligible_at_ms=LATER_MS), None, "pending not_at_rest waiting later"),
        (THERE, known(DISCOVERED, HASH, WAITING, eligible_at_ms=LATER_MS, work_reason="too_young"), None,
         "pending too_young waiting later"),
        (THERE, known(DISCOVERED, HASH, WAITING, eligible_at_ms=LATER_MS, work_reason="busy"), None,
         "pending busy file later"),
        (THERE, known(DISCOVERED, HASH, BACKOFF, eligible_at_ms=LATER_MS, work_reason="unreadable"), "no_server",
         "pending unreadable file later"),
        (GONE, known(VANISHED, TELL, WAITING, eligible_at_ms=LATER_MS, work_reason="not_reconciled"), None,
         "pending not_reconciled waiting later"),
        (THERE, known(READY, SEND, WAITING), None, "pending in_line waiting"),
        (THERE, known(READY, SEND, WAITING), "no_server", "pending no_server person"),
        (THERE, known(READY, SEND, WAITING), "needs_login", "pending needs_login person"),
        (THERE, known(READY, SEND, WAITING), "server_unreachable", "pending server_unreachable server"),
        (THERE, known(READY, SEND, BACKOFF, eligible_at_ms=LATER_MS, work_reason="server_busy"), None,
         "pending server_busy server later"),
        (THERE, known(READY, SEND, BACKOFF, eligible_at_ms=LATER_MS, work_reason="not_allowed"), None,
         "pending not_allowed person later"),
        (THERE, known(READY, SEND, PARKED, work_reason="refused"), None, "pending refused file"),
        (GONE, known(VANISHED, SECOND, WAITING), None, "pending in_line waiting"),
        (GONE, known(VANISHED, TELL, HELD), None, "pending held person"),
        (GONE, known(VANISHED, TELL, WAITING), "server_unavailable", "pending server_unavailable server"),
        (THERE, known(VANISHED, SECOND, WAITING), None, "pending in_line waiting"),
    ],
)  # fmt: skip
def test_verdict_reason_and_class(sight: Sight, row: Known | None, obstacle: str | None, expected: str) -> None:
    found = explain(sight, row, obstacle, NOW_MS)
    later = ["later"] if found.next_try_at_ms == LATER_MS else []
    assert " ".join([found.verdict, found.code, found.blame, *later]) == expected
    assert found.text
    assert found.rule == (sight.out and sight.out.rule)


def test_what_a_person_must_do_comes_with_advice() -> None:
    rows = [known(VANISHED, TELL, HELD), known(READY, SEND, PARKED)]
    told = [explain(THERE, row, None, NOW_MS) for row in rows]
    told += [explain(THERE, known(READY, SEND, WAITING), word, NOW_MS) for word in ("no_server", "needs_login")]
    told += [not_watched(), not_watched(recursive=False), explain(Sight(root_problem="x"), None, None, NOW_MS)]
    assert all(found.advice for found in told)


def test_the_last_error_is_told() -> None:
    row = known(READY, SEND, PARKED, work_reason="refused", last_error="the name is not allowed there")
    assert explain(THERE, row, None, NOW_MS).text == "the name is not allowed there"


def test_outside_of_every_folder() -> None:
    found = not_watched()
    assert isinstance(found, Explanation)
    assert (found.verdict, found.blame) == (Verdict.NOT_WATCHED, Blame.PERSON)
    assert not_watched(recursive=False).code == "not_recursive"
