"""The server's bounds, from outside: many clients, large bodies, a stop in the middle of it."""

import contextlib
import hashlib
import http.client
import json
import socket
import subprocess
import sys
import time

import pytest

from tests.e2e.bounds import crowd, parallel_bodies, rss_bytes, throughput
from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import MIB, Server, World, eventually, request

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


def test_a_stop_does_not_wait_for_those_who_dawdle(server: Server) -> None:
    """Bodies that drip, downloads that nobody takes: the server ends in its time, and in good order."""
    server.stop()
    server.environment["PP_SERVER_SHUTDOWN_SECONDS"] = "3"
    server.start()
    assert throughput(server, "some", 0) > 0
    digest = json.loads(request(server.port, "GET", "/api/files", server.key).body)["files"][0]["sha256"]
    with crowd(server, idle=20, heads=10, bodies=10), contextlib.ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(
                f"GET /api/files/{digest}/content HTTP/1.1\r\nHost: x\r\nX-API-Key: {server.key}\r\n\r\n".encode()
            )
            assert client.recv(12) == b"HTTP/1.1 200"
        began = time.monotonic()
        assert server.stop(timeout_s=30) == 0
        took_s = time.monotonic() - began
    assert took_s < 20, "everybody had 60 seconds for the download"
    assert not [line for line in server.log_lines() if "Traceback" in line or " ERROR " in line], server.tail()
    print(f"stopped after {took_s:.1f} s")


HANGING = """
import os, sys, time
from pathlib import Path
from pp_server.durable import Durable
from pp_server.run import run
from pp_server.settings import Settings

class Hangs(Durable):
    def step(self, name):
        if name in ("before sync", "before datasync") and Path(sys.argv[1], "may hang").exists():
            Path(sys.argv[1], "hangs").touch()
            time.sleep(3600)

run(Settings(data_dir=Path(sys.argv[1], "server"), port=int(sys.argv[2]), shutdown_seconds=0), Hangs())
"""


def is_up(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return request(port, "GET", "/health", timeout_s=2).status == 200
    return False


def test_a_stop_that_the_disk_holds_up_is_forced_and_loses_nothing(made: World, server: Server) -> None:
    """A sync that does not come back is nothing one can wait for: the next start goes on as after a kill."""
    key, body = server.key, hashlib.shake_128(b"x").digest(1000)
    assert server.stop() == 0
    hanging = subprocess.Popen([sys.executable, "-c", HANGING, str(made.folder), str(server.port)])
    try:
        eventually(lambda: is_up(server.port))
        wanted = {"filepath": "/x", "file_size": 1000, "sha256": hashlib.sha256(body).hexdigest(), "gen": 1}
        upload_id = request(server.port, "POST", "/api/uploads/initiate", key, wanted).json()["upload_id"]
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            connection.request("PUT", f"/api/uploads/{upload_id}/chunk/0", body, {"X-API-Key": key})
            assert connection.getresponse().read()
            (made.folder / "may hang").touch()
            connection.request("POST", f"/api/uploads/{upload_id}/complete", b"", {"X-API-Key": key})
            eventually((made.folder / "hangs").exists)
            hanging.terminate()
            assert hanging.wait(30) == 1
            with contextlib.suppress(OSError, http.client.HTTPException):
                assert connection.getresponse().status != 200
    finally:
        hanging.kill()
        hanging.wait()
    server.start()
    again = request(server.port, "POST", "/api/uploads/initiate", key, wanted).json()
    assert (again["upload_id"], again["missing"]) == (upload_id, [])
