"""The version before this one: its daemon with our server, ours with its server, and ours on both its directories."""

import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import MIB, Program, World, clean_environment, eventually, request
from tests.e2e.mischief import wait_for_progress

(WHEEL,) = (Path(__file__).parents[1] / "released").glob("*.whl")

FIRST_FEATURES = {"initiate", "deletions", "download", "list", "hosts"}
SIZES = {"empty": 0, "one": 1, "small": 1_000, "sub/64k": 65_536, "sub/deep/large": 9 * MIB + 12_345}
CHUNKS_IN_FLIGHT = 2


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the version before this one."""
    folder = tmp_path_factory.mktemp("released")
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(folder)
    where = "import pp_server, pp_assist; print(pp_server.__path__[0], pp_assist.__path__[0])"
    command = [sys.executable, "-c", where]
    found = subprocess.check_output(command, env=clean_environment(PYTHONPATH=str(folder)), cwd=folder, text=True)
    assert all(path.startswith(str(folder)) for path in found.split()), found
    return folder


def features(world: World) -> set[str]:
    """Return what the running server announces."""
    return set(request(world.server.port, "GET", "/api/version").json()["features"])


def live_through(world: World, rng: random.Random) -> None:
    """Files come, change, are touched and go; after each step the server has exactly the tree."""
    for name, size in SIZES.items():
        world.write(name, rng.randbytes(size))
    for number in range(40):
        world.write(f"many/{number}", rng.randbytes(200 + number))
    world.write(b"caf\xe9", b"a name that is not UTF-8")
    assert world.finish() >= len(SIZES) + 41
    world.write("small", rng.randbytes(2_000))
    world.write("sub/deep/large", rng.randbytes(5 * MIB))
    world.write("sub/copy", b"x" * 3 * MIB)
    world.write("one", b"")
    os.utime(world.path("sub/64k"), ns=(0, 1_600_000_000_123_456_789))
    os.chmod(world.path("empty"), 0o640)
    os.unlink(world.path(b"caf\xe9"))
    for number in range(0, 40, 10):  # more would be held
        os.unlink(world.path(f"many/{number}"))
    os.rename(world.path("sub/copy"), world.path("renamed"))
    assert world.finish() >= len(SIZES) + 37


def test_its_daemon_and_our_server(make_world: MakeWorld, old: Path) -> None:
    made = make_world()
    made.daemon.code = old
    made.begin()
    assert features(made) >= FIRST_FEATURES
    live_through(made, random.Random(1))


def test_our_daemon_and_its_server(make_world: MakeWorld, old: Path) -> None:
    made = make_world()
    made.server.code = old
    made.begin()
    assert features(made) == FIRST_FEATURES
    live_through(made, random.Random(2))
    assert made.daemon.ask("GET", "/status")["upload_obstacle"] is None


def upgraded(program: Program) -> Callable[[], None]:
    """Return what stops a program in good order and starts ours on its directory."""

    def upgrade() -> None:
        assert program.stop() == 0, program.tail()
        program.code = None
        program.start()

    return upgrade


@pytest.mark.parametrize("first", ["server", "daemon"])
def test_both_are_replaced_where_they_are_and_nothing_is_sent_again(
    make_world: MakeWorld, old: Path, first: str
) -> None:
    made = make_world()
    made.server.code = made.daemon.code = old
    made.begin()
    rng = random.Random(3)
    live_through(made, rng)
    programs: list[Program] = [made.server, made.daemon]
    for program in programs if first == "server" else reversed(programs):
        upgraded(program)()
        if program is made.server and made.daemon.code is None:
            made.daemon.restart()  # it asks what the server can do when it starts, and every ten minutes
            eventually(lambda: made.daemon.ask("GET", "/status")["files_unsupported"] == 0, what="folders wait")
        assert made.finish() == len(SIZES) + 37
        made.write(f"after the {program.name}", rng.randbytes(100_000))
        os.unlink(made.path("many/1" if program is programs[0] else "many/3"))
        assert made.finish() == len(SIZES) + 37
    assert "fingerprint" in made.daemon.ask("GET", "/servers")["servers"][0]  # ours speaks
    made.daemon.restart()
    made.daemon.ask("POST", "/scan/trigger", {"force": True, "wait": True}, 120)
    made.finish()
    assert made.daemon.bytes_sent == 0
    live_through(made, rng)


def test_an_upload_that_its_programs_began_is_ended_by_ours(make_world: MakeWorld, old: Path) -> None:
    made = make_world()
    made.server.code = made.daemon.code = old
    made.begin()
    size = 96 * MIB + 12_345
    made.write("large", random.Random(4).randbytes(size))
    assert wait_for_progress(made, 16 * MIB)
    made.daemon.kill()
    made.server.kill()
    made.server.code = made.daemon.code = None
    made.server.start()
    made.daemon.start()
    made.finish()
    stats = eventually(made.server.stats)
    again = stats["bytes_received"] + stats["bytes_duplicate"] - size
    assert again <= CHUNKS_IN_FLIGHT * 4 * MIB, f"{again} bytes sent again"
    assert made.daemon.bytes_sent < size - 8 * MIB
