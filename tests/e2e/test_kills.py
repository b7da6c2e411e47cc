"""kill -9 of either program, or both, at any moment: nothing is lost, nothing is mixed, little is sent again."""

import random

from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import MIB
from tests.e2e.mischief import Tenant, kill, kill_while_working, victims, wait_for_progress

CHUNKS_IN_FLIGHT = 2
CHUNK_BYTES = 4 * MIB


def test_kills_among_many_small_files_lose_nothing(make_world: MakeWorld) -> None:
    made = make_world()
    made.begin()
    rng = random.Random(7)
    tenant = Tenant(made, seed=7)
    for _ in range(4):
        print(kill_while_working(made, tenant, rng, new=75, longest_s=1.5))
    assert made.finish() > 200
    assert made.daemon.ask("GET", "/health") == {"status": "ok", "version": "0.1.0", "database_ok": True}


def test_a_large_file_that_is_cut_short_again_and_again_goes_on_where_it_was(make_world: MakeWorld) -> None:
    made = make_world()
    made.begin()
    size = 96 * MIB + 12_345
    rng = random.Random(8)
    made.write("large", rng.randbytes(size))
    kills = 0
    while kills < 5 and wait_for_progress(made, rng.randrange(4 * MIB, 10 * MIB)):
        kill(victims(made, rng))
        kills += 1
    assert kills >= 4
    made.finish()
    stats = made.server.stats()
    again = stats["bytes_received"] + stats["bytes_duplicate"] - size
    assert again <= kills * CHUNKS_IN_FLIGHT * CHUNK_BYTES, f"{again} bytes sent again in {kills} kills"
