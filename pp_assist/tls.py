"""Certificates: every connection over TLS is verified, by authorities or against the one certificate that is pinned."""

import asyncio
import hashlib
import ssl
from collections.abc import Iterator
from typing import cast

from pp_assist.core.errors import ServerUnreachable, Untrusted
from pp_assist.core.trust import Trust, shown


async def pinned_context(host: str, port: int, fingerprint: str, timeout_s: float) -> ssl.SSLContext:
    """Return a context that trusts the pinned certificate and nothing else.

    The digest is all we know of that certificate, so it is fetched first, over a connection on which nothing is said.
    That nobody else can use it is not believed but verified, by each connection made with the context.

    Raises:
        Untrusted: the server shows another certificate.
        ServerUnreachable: it shows none.
    """
    try:
        async with asyncio.timeout(timeout_s):
            certificate = await _certificate_of(host, port)
    except TimeoutError as error:
        raise ServerUnreachable(f"no certificate within {timeout_s:.0f} s") from error
    except (OSError, AttributeError, RuntimeError) as error:  # the last two: see http.BROKEN_CONNECTION
        raise ServerUnreachable(f"{type(error).__name__}: {error}") from error
    found = hashlib.sha256(certificate).hexdigest()
    if found != fingerprint:
        raise Untrusted(
            f"it shows the certificate {shown(found)}, and not {shown(fingerprint)}, which it should; nothing was sent"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False  # the certificate itself is what we know it by
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it need not be its own authority
    context.load_verify_locations(cadata=certificate)
    return context


async def _certificate_of(host: str, port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        tls = cast(ssl.SSLObject, writer.get_extra_info("ssl_object"))
        certificate = tls.getpeercert(binary_form=True)
    finally:
        writer.transport.abort()  # nothing was said, so there is nothing to say goodbye for
    if certificate is None:
        raise ServerUnreachable("it shows no certificate")
    return certificate


def context_for(ca_file: str) -> ssl.SSLContext:
    """Return a context that trusts the authorities in *ca_file*.

    Raises:
        Untrusted: the file cannot be read or holds no certificates.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = "there are no certificates in it" if isinstance(error, ssl.SSLError) else str(error)
        raise Untrusted(f"the authorities in {ca_file} cannot be used: {why}") from error


def refusal_of(error: BaseException, trust: Trust) -> Untrusted | None:
    """Return what to tell people if *error* is about the server's certificate, else None."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            advice = "; name its fingerprint or its authority if it is the right one" if trust == Trust() else ""
            return Untrusted(f"its certificate is not trusted: {cause.verify_message}{advice}")
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
