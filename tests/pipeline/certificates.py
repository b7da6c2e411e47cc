"""Certificates of every kind, and servers that show them."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pair import new_key

from pp_server import run as serving
from pp_server.app import create_app
from pp_server.settings import Settings, TlsSettings
from pp_server.tls import server_context

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """One with its key, also as files."""

    x509: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    folder: Path

    @property
    def fingerprint(self) -> str:
        return sha256(self.x509.public_bytes(serialization.Encoding.DER)).hexdigest()

    @property
    def settings(self) -> TlsSettings:
        return TlsSettings(cert=self.folder / "cert.pem", key=self.folder / "key.pem")

    @property
    def file(self) -> str:
        return str(self.folder / "cert.pem")


def make_certificate(
    folder: Path, name: str = "127.0.0.1", issuer: Certificate | None = None, ca: bool = False, days: int = 10
) -> Certificate:
    """Make one; with negative *days* it expired so long ago."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    signer, by = (key, subject) if issuer is None else (issuer.key, issuer.x509.subject)
    end = datetime.now(UTC) + timedelta(days=days)
    certificate = (
        x509.CertificateBuilder(by, subject, key.public_key(), x509.random_serial_number(), end - 30 * DAY, end)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.KeyUsage(True, *[False] * 4, ca, *[False] * 3), critical=True)
        .sign(signer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Certificate(certificate, key, folder)


@dataclass
class Place:
    """A port on which one server follows another."""

    folder: Path
    port: int = 0
    api_key: str = ""
    heard: bytes = b""
    """What those who only listen were told, decrypted."""
    handshakes: int = 0
    peers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def _listen(self) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        return listener

    @asynccontextmanager
    async def server(self, certificate: Certificate) -> AsyncIterator[None]:
        """The real server, with this certificate, for the block."""
        settings = Settings(data_dir=self.folder / "server", tls=certificate.settings)
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            self.api_key = self.api_key or await new_key(app)
            running = serving._server(app, settings, server_context(settings.tls))
            task = asyncio.create_task(running.serve(sockets=[self._listen()]))
            while not running.started:
                await asyncio.sleep(0.01)
            try:
                yield
            finally:
                running.should_exit = True
                await task

    @asynccontextmanager
    async def eavesdropper(self, certificate: Certificate) -> AsyncIterator[None]:
        """Somebody with this certificate who writes down whatever he is told, for the block."""

        async def write_down(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.handshakes += 1
            self.peers.append(writer)
            try:
                while piece := await reader.read(65536):
                    self.heard += piece
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            except (OSError, ssl.SSLError):
                pass
            writer.transport.abort()

        context = server_context(certificate.settings)
        listening: Any = await asyncio.start_server(write_down, sock=self._listen(), ssl=context)
        try:
            yield
        finally:
            listening.close()
            for peer in self.peers:
                peer.transport.abort()
