"""File times from another age, keys with half the rights, servers that change, answers meant to hurt."""

import asyncio
import os

import httpx
import pytest
from pair import Pair, noise, write

from pp_assist.core.errors import ServerNonsense
from pp_assist.core.model import FileState, Stage
from pp_assist.http import Answer, Http
from pp_server.core.model import Scope


@pytest.mark.parametrize("when_ns", [15 * 10**18, -(10**18)])
async def test_a_file_from_another_age_is_stored_like_any_other(pair: Pair, when_ns: int) -> None:
    odd = pair.tree / "odd"
    write(odd, "from far away")
    os.utime(odd, ns=(when_ns, when_ns))
    write(pair.tree / "other", "from here")
    await pair.assert_equal()


async def test_a_key_that_may_not_delete_does_not_stop_uploads(pair: Pair) -> None:
    write(pair.tree / "gone", "soon gone")
    await pair.settle()
    assert pair.daemon
    (server,) = await pair.daemon.servers.all()
    app = pair.weather.inner.app  # type: ignore[union-attr]
    _, weak = await app.state.services.keys.create("weak", "tests", (Scope.UPLOAD, Scope.READ), None)
    await pair.daemon.servers.remove(server.id)
    await pair.daemon.servers.add("weak", "http://server", weak, 0)
    (pair.tree / "gone").unlink()
    await pair.scan()
    await pair.until(lambda counts: counts.queued(Stage.DELETION) == 1)
    for number in range(5):
        write(pair.tree / f"new{number}", noise(1000, number))
        await pair.scan()
        await pair.until(lambda counts: counts.queued(Stage.CHECKSUM, Stage.UPLOAD) == 0)
    counts = await pair.counts()
    assert counts.files[FileState.COMPLETED] == 5
    assert counts.queued(Stage.DELETION) == 1, "kept, until somebody gives the key the right"
    greetings = [path for _, path in pair.weather.requests].count("/api/hosts/host-1")
    assert greetings == 2, "one per server, none because of the deletion"


async def test_adding_another_server_does_not_disturb_what_is_under_way(pair: Pair) -> None:
    write(pair.tree / "a", noise(5 << 20, 1))
    await pair.scan()
    async with asyncio.timeout(10):
        while not pair.bytes_sent:
            await asyncio.sleep(0)
    assert pair.daemon
    await pair.daemon.servers.add("second", "http://second", "k", 0)
    write(pair.tree / "b", "whoever sends it asks for the way to the server")
    await pair.assert_equal()
    asked = [path for _, path in pair.weather.requests]
    assert asked.count("/api/uploads/initiate") == asked.count("/api/batch") == 1
    assert asked.count("/api/hosts/host-1") == 1


def test_json_without_a_bottom_is_nonsense() -> None:
    with pytest.raises(ServerNonsense):
        Answer(200, b"[" * 100_000, None).json()


async def test_a_url_that_cannot_be_is_nonsense() -> None:
    http = Http("http://server", "k", 1.0, 1, transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    with pytest.raises(ServerNonsense):
        await http.request("GET", "/api/uploads/a\nb")
    await http.close()
