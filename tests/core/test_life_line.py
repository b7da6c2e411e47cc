"""What happened to a file, from its row and from what was told."""

from pp_assist.core.events import Event, Happened
from pp_assist.core.life_line import Times, life_line
from pp_assist.core.model import NoticedBy, Stage

ROW = Times(1000, 9000, 2000, None, None, 0, None, 3000, 17)


def test_a_stored_file() -> None:
    assert [(each.at_ms, each.event) for each in life_line(ROW, ())] == [
        (1000, "discovered"),
        (2000, "hashed"),
        (3000, "stored"),
        (9000, "checked"),
    ]
    assert "receipt number 17" in life_line(ROW, ())[2].text


def test_one_that_fails_again_and_again() -> None:
    row = ROW._replace(stage=Stage.UPLOAD, queued_at_ms=4000, attempts=3, last_error="no room", stored_at_ms=None)
    told = [
        Happened(5, 4500, Event.UPLOAD_FAILED, filepath=b"/x", message="no room"),
        Happened(1, 1010, Event.FILE_DISCOVERED, filepath=b"/x"),  # the row says so
        Happened(2, 3500, Event.FILE_DISCOVERED, filepath=b"/x", count=40),  # it was away
    ]
    found = life_line(row, told)
    assert [each.event for each in found] == [
        "discovered",
        "hashed",
        "file_discovered",
        "queued",
        "upload_failed",
        "checked",
    ]
    assert found[2].text == "it was found, with 39 others"
    assert found[3].text == "it came into line to be sent; 3 attempts failed since: no room"
    assert found[4].text == "no room"


def test_every_stage_and_event_has_words() -> None:
    for stage in Stage:
        assert life_line(ROW._replace(stage=stage, queued_at_ms=1), ())
    for event in Event:
        (said,) = (each for each in life_line(ROW, [Happened(1, 5000, event)]) if each.at_ms == 5000)
        assert said.text


def test_it_says_what_the_last_change_was_noticed_by() -> None:
    assert life_line(ROW._replace(noticed_by=NoticedBy.EVENT), ())[1].text.endswith(
        "; the system told of its last change"
    )
    waiting = ROW._replace(noticed_by=NoticedBy.START, stage=Stage.CHECKSUM, queued_at_ms=4000)
    found = {each.event: each.text for each in life_line(waiting, ())}
    assert "change" not in found["hashed"]
    assert found["queued"] == "it came into line to be read; the first scan since the start found its last change"
    for by in NoticedBy:
        assert life_line(ROW._replace(noticed_by=by), ())[1].text
