"""What travels compressed arrives as it was; with servers that do not take it, nothing changes."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pair import Pair, running_pair

from pp_assist.clock import Clock
from pp_assist.core.errors import DamagedOnItsWay, FileChanged, Refused, ServerUnreachable, Stale, TooLarge
from pp_assist.uploader.plainly import PLAIN_MS, Plainly
from pp_server.wire.digest import digest_of
from pp_server.wire.frames import zstd

FRAME = b"\x28\xb5\x2f\xfd"


def text(size: int, seed: int) -> bytes:
    rng = random.Random(seed)
    words = [b"%x" % rng.getrandbits(32) for _ in range(50)]
    return b" ".join(rng.choice(words) for _ in range(size // 5))[:size]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with running_pair(tmp_path) as running:
        await running.settle()
        yield running


class Bodies:
    """Counts what is sent, and how much of it is compressed."""

    def __init__(self, pair: Pair) -> None:
        self.plain_bytes = self.frames = 0
        pair.weather.damage = self.note

    def note(self, path: str, body: bytes) -> bytes:
        if "/chunk/" in path or path == "/api/batch":
            encoded = body.startswith(b"\x28\xb5\x2f\xfd")
            self.frames += encoded
            self.plain_bytes += 0 if encoded else len(body)
        return body


def planted(tree: Path) -> dict[bytes, bytes]:
    contents = {f"small{n}": text(200 + 731 * n, n) for n in range(60)}
    contents |= {"large": text(2_700_000, 99), "empty": b"", "noise": random.Random(1).randbytes(400_000)}
    for name, data in contents.items():
        (tree / name).write_bytes(data)
    return {str(tree / name).encode(): data for name, data in contents.items()}


async def assert_all_there(pair: Pair, contents: dict[bytes, bytes]) -> None:
    live = await pair.live()
    assert {path: live[path] for path in contents} == {path: digest_of(data) for path, data in contents.items()}
    for data in contents.values():
        assert await pair.download(digest_of(data)) == data


async def test_what_becomes_smaller_travels_compressed(pair: Pair) -> None:
    bodies, contents = Bodies(pair), planted(pair.tree)
    await pair.settle()
    await assert_all_there(pair, contents)
    assert bodies.frames >= 3, "the small ones, and the chunks of the large one"
    assert 400_000 <= bodies.plain_bytes < 420_000, "what does not become smaller, and a batch without contents"
    stored = sum(path.stat().st_size for path in (pair.folder / "server").rglob("*") if path.is_file())
    assert stored < sum(map(len, contents.values()))


async def test_a_server_that_does_not_announce_it_gets_everything_as_it_is(pair: Pair) -> None:
    bodies = Bodies(pair)

    def older(path: str, told: Any) -> Any:
        if path == "/api/version":
            return told | {"features": [each for each in told["features"] if each != "zstd"]}
        return told

    pair.weather.lie = older
    await pair.stop_daemon()
    await pair.start_daemon()
    contents = planted(pair.tree)
    await pair.settle()
    await assert_all_there(pair, contents)
    assert bodies.frames == 0


async def test_a_body_that_is_damaged_on_its_way_is_sent_again(pair: Pair) -> None:
    damaged = []

    def flip(path: str, body: bytes) -> bytes:
        if body.startswith(b"\x28\xb5\x2f\xfd") and path not in damaged:
            damaged.append(path)
            return body[:-9] if "/chunk/0" in path else body[:-100] + b"not of zstd" + body[-100:]
        return body

    pair.weather.damage = flip
    contents = planted(pair.tree)
    await pair.settle()
    await assert_all_there(pair, contents)
    assert damaged


def unpacked(path: str, body: bytes) -> bytes:
    """A proxy that unpacks and leaves the header as it was."""
    return zstd.decompress(body) if body.startswith(FRAME) else body


def mangled(path: str, body: bytes) -> bytes:
    """A proxy that takes it for text."""
    return body.decode("utf-8", "replace").encode() if body.startswith(FRAME) else body


@pytest.mark.parametrize("proxy", [unpacked, mangled, "no header", 400, 415])
async def test_a_proxy_that_breaks_what_is_compressed_gets_it_as_it_is(pair: Pair, proxy: Any) -> None:
    """Nothing waits, no file pays for it with an attempt, and a person is told."""
    assert pair.daemon
    bodies = Bodies(pair)
    if callable(proxy):
        pair.weather.damage = lambda path, body: proxy(path, bodies.note(path, body))
    else:
        real = pair.weather.handle_async_request

        async def through(request: httpx.Request) -> httpx.Response:
            if request.headers.get("Content-Encoding") == "zstd":
                if proxy != "no header":
                    return httpx.Response(proxy, text="<html>no", request=request)
                del request.headers["Content-Encoding"]
            return await real(request)

        pair.weather.handle_async_request = through  # type: ignore[method-assign]
    contents = planted(pair.tree)
    await pair.settle()
    await assert_all_there(pair, contents)
    assert await pair.daemon.db.value("SELECT COUNT(*) FROM work WHERE attempts > 0 OR state = 'parked'") == 0
    assert pair.daemon.link.plain_because
    frames = bodies.frames
    (pair.tree / "later").write_bytes(text(5000, 7))
    await pair.settle()
    assert bodies.frames == frames, "it is not tried again at once"


def test_it_is_tried_again_after_an_hour_and_at_once_where_it_was_not_to_blame() -> None:
    clock = Standing()
    plainly = Plainly(clock)
    assert not plainly.is_on
    for error in (TooLarge("x"), ServerUnreachable("x"), Stale(1), FileChanged("x")):
        assert not plainly.may_help(error)
    assert plainly.may_help(Refused("this very file"))
    plainly.did_not_help(ServerUnreachable("not about it"))
    assert plainly.is_on and plainly.reason is None, "nobody knows yet"
    plainly.did_not_help(Refused("this very file"))
    assert not plainly.is_on
    assert plainly.may_help(DamagedOnItsWay("broken"))
    plainly.helped()
    plainly.did_not_help(Refused("another file"))
    assert plainly.reason == "broken"
    clock.ms += PLAIN_MS
    assert not plainly.is_on and plainly.reason is None


class Standing(Clock):
    """A clock that somebody moves."""

    ms = 0

    def mono_ms(self) -> int:
        return self.ms


async def test_a_compressed_body_is_a_stream_that_any_tool_reads(pair: Pair) -> None:
    batches: list[bytes] = []

    def note(path: str, body: bytes) -> bytes:
        if path == "/api/batch":
            batches.append(body)
        return body

    pair.weather.damage = note
    contents = [text(5000, 1), text(6000, 2)]
    for number, data in enumerate(contents):
        (pair.tree / f"{number}").write_bytes(data)
    await pair.settle()
    (body,) = [each for each in batches if each.startswith(b"\x28\xb5\x2f\xfd")]
    line, rest = zstd.decompress(body).split(b"\n", 1)
    assert b'"content":"inline"' in line
    assert rest in (b"".join(contents), b"".join(reversed(contents)))
