"""The public port over TLS: which files it takes, and what it bears from whoever connects."""

import asyncio
import contextlib
import json
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from test_server_cli import Process, run, start  # noqa: F401 - a fixture

from pp_server import run as serving
from pp_server.settings import LimitSettings, Settings, TlsSettings
from pp_server.tls import CannotMake, make_self_signed, server_context


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, Any]:
    return make_self_signed(tmp_path / "tls", ["127.0.0.1", "localhost", "files.example.org", "::1"], 30)


# -- the files


def test_the_command_makes_a_certificate_that_openssl_believes(tmp_path: Path) -> None:
    arguments = ("tls", "self-signed", "--out", "new/tls", "--name", "localhost", "--name", "127.0.0.1", "--json")
    made = json.loads(run(*arguments, "--days", "2", cwd=tmp_path))
    key = tmp_path / made["key"]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert made["names"] == ["localhost", "127.0.0.1"]
    assert len(made["fingerprint"].split(":")) == 32
    before = key.read_bytes()
    assert "exists" in run(*arguments, cwd=tmp_path, code=1)
    assert key.read_bytes() == before


def test_the_command_tells_people_what_they_need(tmp_path: Path) -> None:
    said = dict(
        line.split(maxsplit=1) for line in run("tls", "self-signed", "--out", ".", cwd=tmp_path).splitlines()[:3]
    )
    assert said["certificate"] == "cert.pem"
    assert "localhost" in said["names"]
    for wrong in (("--days", "0"), ("--days", "x"), ("--days", "36501")):
        run("tls", "self-signed", "--out", "other", *wrong, cwd=tmp_path, code=2)
    assert "not a host name" in run("tls", "self-signed", "--out", "other", "--name", "a b", cwd=tmp_path, code=1)
    assert not (tmp_path / "other").exists()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CannotMake, match="cannot write"):
        make_self_signed(tmp_path / "file" / "below", ["h"], 1)


def test_a_server_with_half_a_pair_or_a_wrong_one_does_not_start(tmp_path: Path, pair: dict[str, Any]) -> None:
    other = make_self_signed(tmp_path / "other", ["127.0.0.1"], 30)
    (tmp_path / "junk").write_text("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n")
    data = ("--data-dir", str(tmp_path / "data"))
    assert "both or none" in run("run", *data, "--tls-cert", pair["cert"], cwd=tmp_path, code=2)
    assert "both or none" in run("run", *data, cwd=tmp_path, code=2, PP_SERVER_TLS__KEY=pair["key"])
    for cert, key, words in [
        (pair["cert"], other["key"], "mismatch"),
        (str(tmp_path / "missing"), pair["key"], "No such file"),
        (pair["cert"], str(tmp_path), "Is a directory"),
        (str(tmp_path / "junk"), pair["key"], "are not a certificate and its unencrypted key"),
        (pair["key"], pair["cert"], "are not a certificate and its unencrypted key"),
    ]:
        assert words in run("run", *data, "--tls-cert", cert, "--tls-key", key, cwd=tmp_path, code=4)
    assert not (tmp_path / "data").exists()


def test_an_encrypted_key_is_refused_without_asking_for_its_password(tmp_path: Path, pair: dict[str, Any]) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(Path(pair["key"]).read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    arguments = ("run", "--data-dir", "data", "--tls-cert", pair["cert"], "--tls-key", str(locked))
    assert "unencrypted key" in run(*arguments, cwd=tmp_path, code=4)


# -- the port


def client(pair: dict[str, Any]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=pair["cert"])


def test_the_ready_line_says_https_and_plain_http_is_no_way_in(
    start: Callable[..., Process],  # noqa: F811
    tmp_path: Path,
    pair: dict[str, Any],
) -> None:
    server = start(tmp_path / "data", "--tls-cert", pair["cert"], "--tls-key", pair["key"])
    assert server.ready.startswith("pp_server ready on https://127.0.0.1:"), server.ready
    port = int(server.url.rpartition(":")[2])
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    with client(pair).wrap_socket(raw, server_hostname="127.0.0.1") as encrypted:
        assert encrypted.version() in ("TLSv1.2", "TLSv1.3")
        encrypted.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert encrypted.recv(1000).startswith(b"HTTP/1.1 200 ")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"200" not in raw.recv(1000)
    old = client(pair)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(raw, server_hostname="127.0.0.1")


Address = tuple[str, int]


@pytest.fixture
async def address(tmp_path: Path, pair: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Address]:
    """A port that loses its patience quickly."""
    monkeypatch.setattr(serving, "GOODBYE_SECONDS", 0.5)
    limits = LimitSettings(head_seconds=0.5)
    settings = Settings(data_dir=tmp_path / "data", limits=limits, tls=TlsSettings(cert=pair["cert"], key=pair["key"]))

    async def hello(scope: object, receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})

    listener = socket.create_server(("127.0.0.1", 0))
    server = serving._server(hello, settings, server_context(settings.tls))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()
    server.should_exit = True
    await task


async def said_before_it_closes(reader: asyncio.StreamReader) -> bytes:
    """Return what the server says until it closes, which must be soon."""
    got = b""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := await reader.read(1000):
                got += piece
    return got


@pytest.mark.parametrize(
    "pieces", [[], [b"\x16\x03\x01\x02\x00"], [bytes([octet]) for octet in b"\x16\x03\x01\x02\x00\x01" * 4]]
)
async def test_whoever_never_finishes_a_handshake_is_cut(address: Address, pieces: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
    assert b"hello" not in await said_before_it_closes(reader)
    writer.close()


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\nX: "])
async def test_whoever_never_gets_to_the_point_is_cut_under_tls_too(
    address: Address, pair: dict[str, Any], head: bytes
) -> None:
    reader, writer = await asyncio.open_connection(*address, ssl=client(pair))
    writer.write(head)
    assert b"hello" not in await said_before_it_closes(reader)
    writer.close()


async def test_whoever_behaves_is_served_meanwhile(address: Address, pair: dict[str, Any]) -> None:
    silent = [await asyncio.open_connection(*address) for _ in range(20)]
    reader, writer = await asyncio.open_connection(*address, ssl=client(pair))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await said_before_it_closes(reader)).endswith(b"hello")
    writer.close()
    for _, other in silent:
        other.close()
