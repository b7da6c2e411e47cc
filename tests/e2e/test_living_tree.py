"""Whatever is done to the tree while both run, the server has it within seconds; what cannot be seen is not gone."""

import os
import random
from collections.abc import Callable

from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import World, content, settled

RARE_SCANS = {"PP_ASSIST_SCANNER__SCAN_INTERVAL": "3600"}
"""So that what arrives was noticed by events."""

FREQUENT_SCANS = {"PP_ASSIST_SCANNER__SCAN_INTERVAL": "0.5"}
NO_EVENTS = {"PP_ASSIST_SCANNER__USE_FILESYSTEM_EVENTS": "false", **FREQUENT_SCANS}


Operation = Callable[[World, bytes], None]


def edit(made: World, path: bytes) -> None:
    """Other content of another size."""
    made.write(path, b"edited, and longer than before")


def append(made: World, path: bytes) -> None:
    """More at the end."""
    with open(path, "ab") as file:
        file.write(b" and more")


def truncate(made: World, path: bytes) -> None:
    """Less."""
    with open(path, "r+b") as file:
        file.truncate(5)


def truncate_by_name(made: World, path: bytes) -> None:
    """Less, by a call that neither opens nor closes the file."""
    os.truncate(path, 5)


def truncate_to_nothing(made: World, path: bytes) -> None:
    """Nothing."""
    made.write(path, b"")


def edit_and_restore_the_time(made: World, path: bytes) -> None:
    """Other content, the same size, the same mtime: only the ctime tells."""
    before = os.stat(path)
    made.write(path, b"?" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_an_older_file(made: World, path: bytes) -> None:
    """A file with an older mtime takes the name."""
    other = made.folder / "other"
    other.write_bytes(b"restored from a backup")
    os.utime(other, ns=(10**18, 10**18))
    os.replace(other, path)


def delete(made: World, path: bytes) -> None:
    """Gone."""
    os.unlink(path)


def recreate(made: World, path: bytes) -> None:
    """Gone, and back at once with other content."""
    os.unlink(path)
    made.write(path, b"born again")


def rename(made: World, path: bytes) -> None:
    """Another name."""
    os.rename(path, path + b" renamed")


def move_into_a_new_folder(made: World, path: bytes) -> None:
    """Another folder, made for it."""
    os.makedirs(made.path("new/below"))
    os.rename(path, made.path("new/below/moved"))


def move_out(made: World, path: bytes) -> None:
    """Out of the tree."""
    os.rename(path, made.folder / "outside")


def turn_into_a_folder(made: World, path: bytes) -> None:
    """A folder of the same name, with a file in it."""
    os.unlink(path)
    made.write(path + b"/inside", b"inside")


def write_slowly(made: World, path: bytes) -> None:
    """Many short writes, each on the disk before the next."""
    with open(path, "wb", buffering=0) as file:
        for number in range(30):
            file.write(b"%4d" % number * 1000)
            os.fsync(file.fileno())


def change_the_mode(made: World, path: bytes) -> None:
    """Other permissions."""
    os.chmod(path, 0o741)


def touch(made: World, path: bytes) -> None:
    """Another mtime, nothing else."""
    os.utime(path, ns=(10**18, 10**18 + 1))


OPERATIONS: list[Operation] = [
    edit,
    append,
    truncate,
    truncate_to_nothing,
    edit_and_restore_the_time,
    replace_by_an_older_file,
    delete,
    recreate,
    rename,
    move_into_a_new_folder,
    move_out,
    turn_into_a_folder,
    write_slowly,
    truncate_by_name,
    change_the_mode,
    touch,
]


def do_everything(made: World, operations: list[Operation]) -> dict[str, float]:
    """Do one operation after the other; the server equals the tree after each. Return the seconds each took."""
    for operation in operations:
        made.write(f"dir/{operation.__name__}", f"content of {operation.__name__}".encode())
    made.begin()
    made.finish()
    took = {}
    for operation in operations:
        operation(made, made.path(f"dir/{operation.__name__}"))
        took[operation.__name__] = round(made.soon_equal(), 2)
    made.daemon.finish(made.tree)
    return took


def test_every_kind_of_change_arrives_within_seconds_by_events(make_world: MakeWorld) -> None:
    print(do_everything(make_world(**RARE_SCANS), OPERATIONS))


def test_all_changes_at_once_arrive_by_scans_alone(make_world: MakeWorld) -> None:
    made = make_world(**NO_EVENTS)
    rng = random.Random(3)
    for number in range(5):
        for operation in OPERATIONS:
            made.write(f"{number}/{operation.__name__}", content(rng, 200))
    made.begin()
    made.finish()
    for number in range(5):
        for operation in OPERATIONS:
            if operation is not move_into_a_new_folder:
                operation(made, made.path(f"{number}/{operation.__name__}"))
    made.soon_equal(30)


def test_folders_come_and_go_whole(make_world: MakeWorld) -> None:
    made = make_world(**RARE_SCANS)
    made.begin()
    outside = os.fsencode(made.folder / "outside")
    for number in range(20):
        os.makedirs(outside + b"/a/b%d" % number)
        with open(outside + b"/a/b%d/file" % number, "wb") as file:
            file.write(b"%d" % number)
    os.rename(outside, made.path("moved in"))
    assert made.soon_equal() < 10
    os.rename(made.path("moved in"), made.path("renamed"))
    made.soon_equal()
    os.rename(made.path("renamed/a"), made.path("a"))
    made.soon_equal()
    os.rename(made.path("a"), outside + b"2")
    made.approve_deletions(20)
    made.soon_equal()
    assert made.daemon.finish(made.tree) < 10


def test_a_root_that_is_away_is_not_empty(make_world: MakeWorld) -> None:
    made = make_world(**FREQUENT_SCANS)
    made.tree = os.fsencode(made.folder / "above" / "tree")
    os.makedirs(made.tree)
    rng = random.Random(4)
    for number in range(30):
        made.write(f"{number % 3}/{number}", content(rng, 1000))
    made.begin()
    count = made.finish()
    stored = made.server.listing()
    sent, deletions = made.daemon.bytes_sent, made.server.stats()["deletions"]

    place = os.fsencode(made.folder / "above")
    os.rename(place, place + b" away")
    settled(lambda: [p for p in made.daemon.ask("GET", "/paths")["paths"] if p["status"] != "unhealthy"])
    scans = made.daemon.stats()["components"]["scanner"]["scans_finished"]
    settled(lambda: [] if made.daemon.stats()["components"]["scanner"]["scans_finished"] >= scans + 3 else ["scans"])
    assert made.daemon.pending() == {}
    made.daemon.restart()
    made.daemon.scan()
    assert made.daemon.pending() == {}
    assert made.server.listing() == stored
    assert made.server.stats()["deletions"] == deletions
    os.mkdir(place)  # what an unmounted disk leaves behind
    made.daemon.scan()
    assert made.daemon.pending() == {}
    assert made.server.listing() == stored
    os.rmdir(place)

    os.rename(place + b" away", place)
    made.daemon.scan()
    settled(lambda: [p for p in made.daemon.ask("GET", "/paths")["paths"] if p["status"] != "healthy"])
    assert made.finish() == count
    assert made.daemon.bytes_sent == 0, f"sent again (after {sent} bytes before)"
    made.write("one more", b"after the return")
    made.soon_equal()
    assert made.daemon.stats()["components"]["scanner"]["filesystem_events_active"] is True
