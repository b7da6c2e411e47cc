"""TLS for the public port: reading a certificate with its key, and making one that is its own authority.

`cryptography` is loaded only by the command that needs it.
"""

import hashlib
import os
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pp_server.core.errors import StartRefused
from pp_server.settings import TlsSettings

if TYPE_CHECKING:
    from cryptography import x509

CERTIFICATE, KEY = "cert.pem", "key.pem"

GOODBYE_SECONDS = 5.0
"""So long a client has to answer when a connection is closed."""

BEFORE = timedelta(days=1)
"""Clocks differ: a certificate made now is good since yesterday."""


class CannotMake(Exception):
    """No certificate was made; the message says why."""


def server_context(settings: TlsSettings) -> ssl.SSLContext | None:
    """Return what the public port encrypts with; None where it does not.

    Raises:
        StartRefused: the files cannot be read, are not what they should be, or do not belong together.
    """
    if settings.cert is None or settings.key is None:  # the settings have both or none
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for path in (settings.cert, settings.key):
        try:
            path.read_bytes()
        except OSError as error:
            raise StartRefused(f"Cannot read {path}: {error.strerror}") from error
    try:
        context.load_cert_chain(settings.cert, settings.key, password=lambda: b"")  # never ask at the terminal
    except (ssl.SSLError, ValueError) as error:
        why = (getattr(error, "reason", None) or str(error)).lower().replace("_", " ")
        raise StartRefused(
            f"{settings.cert} and {settings.key} are not a certificate and its unencrypted key, as PEM: {why}"
        ) from error
    return context


def make_self_signed(folder: Path, names: Sequence[str], days: int) -> dict[str, Any]:
    """Write a key (mode 0600) and a certificate for *names* into *folder*; return what a person needs of them.

    Raises:
        CannotMake: there is one already, a name is not possible, or the folder cannot be written to.
    """
    certificate, key = folder / CERTIFICATE, folder / KEY
    for path in (certificate, key):
        if path.exists():
            raise CannotMake(f"{path} exists; nothing was changed")
    names = list(names) or _own_names()
    signed, key_pem, certificate_pem = _signed(names, days)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_new(key, key_pem, 0o600)
        _write_new(certificate, certificate_pem, 0o644)
    except OSError as error:
        raise CannotMake(f"cannot write to {folder}: {error.strerror}") from error
    return {
        "cert": str(certificate),
        "key": str(key),
        "names": names,
        "not_after": signed.not_valid_after_utc.isoformat(),
        "fingerprint": fingerprint_of(ssl.PEM_cert_to_DER_cert(certificate_pem.decode())),
    }


def fingerprint_of(der: bytes) -> str:
    """Return the SHA-256 of a certificate as everybody shows it: AB:CD:…"""
    return hashlib.sha256(der).digest().hex(":").upper()


def _own_names() -> list[str]:
    """Return the names under which this machine surely is reached."""
    return list(dict.fromkeys([socket.gethostname(), "localhost", "127.0.0.1", "::1"]))


def _signed(names: Sequence[str], days: int) -> tuple["x509.Certificate", bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    public, now = key.public_key(), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pp_server")])
    signing_only = x509.KeyUsage(True, *[False] * 8)  # the first of nine purposes is digital signatures
    try:
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    except ValueError as error:
        raise CannotMake(f"not a host name: {error}") from error
    certificate = (
        x509.CertificateBuilder(subject, subject, public, x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(signing_only, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate, key_pem, certificate.public_bytes(serialization.Encoding.PEM)


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    if not name or any(not (letter.isalnum() or letter in "-._*") for letter in name):
        raise ValueError(repr(name))
    return x509.DNSName(name)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
