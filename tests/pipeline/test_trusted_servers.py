"""Over TLS nothing is said to anybody but the server that is meant."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from certificates import Certificate, Place, make_certificate
from pair import DEADLINE_S, Pair

from pp_assist.core.errors import Untrusted
from pp_assist.core.model import Stage
from pp_assist.core.trust import Trust, shown
from pp_assist.http import Http
from pp_assist.uploader.link import connect


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


Make = Callable[..., Certificate]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    made: list[Certificate] = []

    def certificate(**wishes: object) -> Certificate:
        made.append(make_certificate(tmp_path / f"certificate-{len(made)}", **wishes))  # type: ignore[arg-type]
        return made[-1]

    return certificate


@asynccontextmanager
async def http(place: Place, trust: Trust = Trust()) -> AsyncIterator[Http]:  # noqa: B008 - a value
    connections = Http(place.url, place.api_key, 5.0, 4, trust=trust)
    try:
        yield connections
    finally:
        await connections.close()


async def ask(connections: Http) -> int:
    """Ask for something that needs the key."""
    return (await connections.request("GET", "/api/uploads/none")).status


KNOWN = 404
"""The answer to whoever shows a good key."""


async def test_a_pinned_certificate_is_believed_whatever_name_stands_in_it(place: Place, make: Make) -> None:
    certificate = make(name="some.other.name")
    async with place.server(certificate), http(place, Trust(certificate.fingerprint)) as connections:
        assert await ask(connections) == KNOWN
        assert await ask(connections) == KNOWN


async def test_a_pinned_certificate_of_an_unknown_authority_is_believed(place: Place, make: Make) -> None:
    certificate = make(issuer=make(ca=True, name="authority"))
    async with place.server(certificate), http(place, Trust(certificate.fingerprint)) as connections:
        assert await ask(connections) == KNOWN


async def test_nobody_is_believed_without_a_reason(place: Place, make: Make) -> None:
    async with place.eavesdropper(make()), http(place) as connections:
        with pytest.raises(Untrusted, match=r"self-signed certificate; name its fingerprint or its authority"):
            await ask(connections)
    assert place.heard == b""


async def test_another_certificate_than_the_pinned_one_is_told_nothing(place: Place, make: Make) -> None:
    meant, shown_one = make(), make()
    async with place.eavesdropper(shown_one), http(place, Trust(meant.fingerprint)) as connections:
        with pytest.raises(Untrusted) as refused:
            await ask(connections)
    assert shown(meant.fingerprint) in str(refused.value)
    assert shown(shown_one.fingerprint) in str(refused.value)
    assert place.heard == b""


@pytest.mark.parametrize("how", ["pinned", "authority"])
async def test_an_expired_certificate_is_refused(place: Place, make: Make, how: str) -> None:
    authority = make(ca=True, name="authority")
    certificate = make(days=-1, issuer=authority)
    trust = Trust(certificate.fingerprint) if how == "pinned" else Trust(ca_file=authority.file)
    async with place.eavesdropper(certificate), http(place, trust) as connections:
        with pytest.raises(Untrusted, match="expired"):
            await ask(connections)
    assert place.heard == b""


async def test_an_authority_vouches_for_the_name_in_the_url_only(place: Place, make: Make) -> None:
    authority = make(ca=True, name="authority")
    trust = Trust(ca_file=authority.file)
    async with place.server(make(issuer=authority)), http(place, trust) as connections:
        assert await ask(connections) == KNOWN
    async with place.eavesdropper(make(issuer=authority, name="other.example.org")), http(place, trust) as connections:
        with pytest.raises(Untrusted, match=r"not valid for '127\.0\.0\.1'"):
            await ask(connections)
    async with place.eavesdropper(make(issuer=make(ca=True, name="authority"))), http(place, trust) as connections:
        with pytest.raises(Untrusted, match="not trusted"):
            await ask(connections)
    assert place.heard == b""


async def test_an_authority_file_that_is_gone_is_said(place: Place, make: Make) -> None:
    authority = make(ca=True, name="authority")
    async with place.server(make(issuer=authority)), http(place, Trust(ca_file=authority.file)) as connections:
        Path(authority.file).unlink()
        with pytest.raises(Untrusted, match="No such file"):
            await ask(connections)
        Path(authority.file).write_bytes(b"not a certificate")
        with pytest.raises(Untrusted, match="no certificates in it"):
            await ask(connections)


async def test_a_server_that_is_exchanged_under_us_hears_nothing(place: Place, make: Make) -> None:
    """After we have been connected, and also between the look at the certificate and the first connection."""
    certificate, other = make(), make()
    async with place.server(certificate):
        pass  # its port and its key are known from here on
    async with (
        http(place, Trust(certificate.fingerprint)) as used,
        http(place, Trust(certificate.fingerprint)) as looked,
    ):
        async with place.server(certificate):
            assert await ask(used) == KNOWN
            await looked._opened()
        async with place.eavesdropper(other):
            for connections in (used, looked):
                with pytest.raises(Untrusted, match=shown(other.fingerprint)):
                    await ask(connections)
    assert place.handshakes > 0
    assert place.heard == b""


async def test_the_daemon_waits_for_the_right_certificate(place: Place, make: Make, tmp_path: Path) -> None:
    certificate, other = make(), make()
    folder = tmp_path / "daemon"
    folder.mkdir()
    pair = Pair(folder)
    pair._connect = connect  # type: ignore[method-assign] - over the real network
    async with place.server(certificate):
        pass
    pair.api_key = place.api_key
    await pair.start_daemon()
    assert pair.daemon
    try:
        servers = pair.daemon.servers
        await servers.remove(1)
        await servers.add("pinned", place.url, place.api_key, 0, trust=Trust(certificate.fingerprint))
        async with place.eavesdropper(other):
            (pair.tree / "f").write_bytes(b"x" * 100_000)
            await pair.scan()
            await pair.until(lambda c: c.queued(Stage.UPLOAD) == 1)
            async with asyncio.timeout(DEADLINE_S):
                while shown(other.fingerprint) not in str((await servers.all())[0].reason):
                    await asyncio.sleep(0.01)
            (server,) = await servers.all()
            assert server.state == "unreachable"
            assert shown(certificate.fingerprint) in str(server.reason)
            assert pair.daemon.link.reason == "server_untrusted"
        assert place.heard == b""
        async with place.server(certificate):
            await pair.settle()
            (server,) = await servers.all()
            assert (server.state, server.reason) == ("ok", None)
            await pair.stop_daemon()
    finally:
        await pair.stop_daemon()
