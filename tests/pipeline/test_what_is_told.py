"""What happens to files is told: once each, with their names, and many small ones together."""

from pair import Pair, noise, write

from pp_assist.core.events import Event, Happened
from pp_server.wire.chunks import MIB


def told(pair: Pair, after: int = 0) -> list[Happened]:
    assert pair.daemon
    return list(pair.daemon.bus.after(after) or ())


async def test_a_file_from_its_discovery_to_its_deletion(pair: Pair) -> None:
    assert pair.daemon
    await pair.settle()
    path = pair.tree / "large"
    begun = pair.daemon.bus.last_id
    write(path, noise(3 * MIB, 1))
    await pair.assert_equal()
    write(path, noise(2 * MIB, 2))
    await pair.assert_equal()
    path.unlink()
    await pair.assert_equal()
    mine = [each for each in told(pair, begun) if each.filepath == str(path).encode()]
    kinds = [each.event for each in mine if each.event is not Event.UPLOAD_PROGRESS]
    once = [Event.SHA256_COMPLETE, Event.UPLOAD_STARTED, Event.UPLOAD_COMPLETE]
    assert kinds == [
        Event.FILE_DISCOVERED, *once, Event.FILE_CHANGED, *once, Event.FILE_MISSING, Event.FILE_DELETED
    ]  # fmt: skip
    stored = next(each for each in mine if each.event is Event.UPLOAD_COMPLETE)
    assert stored.details["file_size"] == stored.details["bytes_sent"] == 3 * MIB
    assert len(stored.details["sha256"]) == 64
    assert [each.id for each in mine] == sorted({each.id for each in mine})


async def test_many_small_files_are_a_few_events(pair: Pair) -> None:
    assert pair.daemon
    await pair.settle()
    begun = pair.daemon.bus.last_id
    for number in range(300):
        write(pair.tree / f"d{number % 5}" / f"f{number}", noise(100, number))
    await pair.assert_equal()
    events = told(pair, begun)
    for kind in (Event.FILE_DISCOVERED, Event.SHA256_COMPLETE):
        assert sum(each.count for each in events if each.event is kind) >= 300
    assert len(events) < 60
    await pair.daemon.journal.write()
    assert await pair.daemon.db.value("SELECT COUNT(*) FROM activity") < 100


async def test_what_fails_is_told_with_its_reason(pair: Pair) -> None:
    assert pair.daemon
    await pair.settle()
    begun = pair.daemon.bus.last_id
    write(pair.tree / "large", noise(MIB, 1))
    pair.weather.forecast = ["404"]
    await pair.scan()
    await pair.until(lambda _: any(each.event is Event.UPLOAD_FAILED for each in told(pair, begun)))
    failed = next(each for each in told(pair, begun) if each.event is Event.UPLOAD_FAILED)
    assert failed.filepath == str(pair.tree / "large").encode()
    assert failed.message and failed.details["reason"]
