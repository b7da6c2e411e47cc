"""The server's bounds, from outside: many clients, large bodies, a stop in the middle of it."""

import pytest

from tests.e2e.bounds import crowd, parallel_bodies, rss_bytes, throughput
from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import MIB, Server, World

BASE_BYTES = 64 * MIB
"""Buffers of connections, and what an allocator keeps, besides the budget."""


@pytest.fixture
def made(make_world: MakeWorld) -> World:
    return make_world()


@pytest.fixture
def server(made: World) -> Server:
    made.server.environment["PP_SERVER_LIMITS__MAX_INFLIGHT_MB"] = "64"
    made.server.start()
    return made.server


def test_a_crowd_does_not_harm_an_honest_client(server: Server) -> None:
    assert throughput(server, "quiet", 1) > 0
    before = rss_bytes(server)
    with crowd(server, idle=100, heads=20, bodies=20):
        assert throughput(server, "loud", 3) > 0  # each of its requests was a success
        assert rss_bytes(server) - before < 64 * MIB + BASE_BYTES


def test_more_bodies_than_there_is_memory_for(server: Server) -> None:
    """320 MiB at a time, where 64 MiB may be held."""
    assert throughput(server, "warm", 0) > 0
    before = rss_bytes(server)
    statuses = parallel_bodies(server, count=40, body_bytes=8 * MIB)
    server.note_rss()
    assert statuses == {200: 40}
    assert server.peak_rss_bytes - before < 64 * MIB + BASE_BYTES
