"""A server is asked for what it announces, and for nothing else."""

import pytest
from pair import Pair

from pp_assist.core.model import Stage
from pp_server.api import routes_health
from pp_server.wire.version import FEATURES


async def serve_anew(pair: Pair, monkeypatch: pytest.MonkeyPatch, **announced: object) -> None:
    """Put a server in its place that announces something else, and have the next request notice the change."""
    await pair.stop_server()
    for name, value in announced.items():
        monkeypatch.setattr(routes_health, name, value)
    await pair.start_server()
    pair.weather.forecast = ["lost_request"]


async def test_deletions_wait_for_a_server_that_takes_them(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pair.daemon
    for name in ("kept", "gone"):
        (pair.tree / name).write_text(name)
    await pair.assert_equal()
    await serve_anew(pair, monkeypatch, FEATURES=[name for name in FEATURES if name not in ("deletions", "hosts")])
    (pair.tree / "kept").write_text("once this is stored, the other server has been greeted")
    await pair.assert_equal()
    assert not pair.daemon.link.capabilities.can("deletions")
    before = len(pair.weather.requests)
    (pair.tree / "gone").unlink()
    (pair.tree / "third").write_text("uploads are not held up by it")
    await pair.scan()
    await pair.until(
        lambda c: c.queued(Stage.DELETION) == 1 and c.queued(Stage.UPLOAD) == 0 and c.queued(Stage.CHECKSUM) == 0
    )
    asked = {path for _, path in pair.weather.requests[before:]}
    assert "/api/files/deletions" not in asked
    assert not any(path.startswith("/api/hosts/") for path in asked)
    assert len(await pair.live()) == 3
    await serve_anew(pair, monkeypatch, FEATURES=FEATURES)
    (pair.tree / "kept").write_text("changed once more")
    await pair.assert_equal()
    assert len(await pair.live()) == 2


async def test_a_server_that_was_exchanged_quietly_is_noticed_after_a_while(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pair.daemon
    (pair.tree / "first").write_text("1")
    await pair.assert_equal()
    await serve_anew(pair, monkeypatch, FEATURES=[*FEATURES, "made_up"])
    pair.weather.forecast.clear()  # no request fails: nothing but time tells
    (pair.tree / "second").write_text("2")
    await pair.assert_equal()
    assert not pair.daemon.link.capabilities.can("made_up")
    monkeypatch.setattr(pair.daemon.link, "_greet_again_at_ms", 0)
    (pair.tree / "third").write_text("3")
    await pair.assert_equal()
    assert pair.daemon.link.capabilities.can("made_up")


async def test_a_smaller_limit_is_kept(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pair.daemon
    await serve_anew(pair, monkeypatch, LIMITS={"max_deletions": 2})
    for number in range(5):
        (pair.tree / f"{number}").write_text(f"{number}")
    await pair.assert_equal()
    assert pair.daemon.link.capabilities.limit("max_deletions", 500) == 2
    for number in range(5):
        (pair.tree / f"{number}").unlink()
    await pair.assert_equal()
    assert [path for _, path in pair.weather.requests].count("/api/files/deletions") >= 3


async def test_a_server_of_another_protocol_is_sent_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pair.daemon
    await pair.stop_daemon()
    monkeypatch.setattr(routes_health, "PROTOCOL", 2)
    pair.weather.requests.clear()
    await pair.start_daemon()
    (pair.tree / "f").write_text("waits")
    await pair.scan()
    await pair.until(lambda c: c.queued(Stage.UPLOAD) == 1 and pair.daemon.link.reason == "server_nonsense")  # type: ignore
    (server,) = await pair.daemon.servers.all()
    assert server.reason == "the server speaks protocol 2, this program speaks 1"
    assert {path for _, path in pair.weather.requests} == {"/api/version"}
