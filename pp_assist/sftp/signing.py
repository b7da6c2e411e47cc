"""How an announcement is signed, and how its receiver checks that: the scheme of Standard Webhooks. Pure.

    webhook-id: ID                       the same at each repetition
    webhook-timestamp: SECONDS           since 1970, of this attempt
    webhook-signature: v1,BASE64         HMAC-SHA256 of ID.SECONDS.BODY under the secret

A receiver copies this file, or imports it: it needs nothing but the standard library.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE_S = 300
_ENCODED = "whsec_"


class NotGenuine(Exception):
    """It was not sent by whoever has the secret, or not lately; the message says why."""


def sign(message_id: str, timestamp_s: int, body: bytes, secret: str) -> dict[str, str]:
    """Return the headers that go with *body*."""
    digest = base64.b64encode(_mac(message_id, str(timestamp_s), body, secret)).decode()
    return {ID: message_id, TIMESTAMP: str(timestamp_s), SIGNATURE: f"v1,{digest}"}


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Iterable[str],
    now_s: float,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """Return the id of a genuine announcement. Who keeps ids for twice the tolerance at least does nothing twice.

    *secrets*: one, or while it is being replaced, both.

    Raises:
        NotGenuine: a header is missing, the time is too far from *now_s*, or no signature fits.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, timestamp, signatures = given[ID], given[TIMESTAMP], given[SIGNATURE]
    except KeyError as error:
        raise NotGenuine(f"there is no header {error.args[0]}") from error
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(int(timestamp) - now_s) > tolerance_s:
        raise NotGenuine("it is too old, or of a time to come")
    known = [secrets] if isinstance(secrets, str) else list(secrets)
    expected = [_mac(message_id, timestamp, body, secret) for secret in known]
    found = False
    for each in signatures.split():
        version, _, encoded = each.partition(",")
        try:
            digest = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            continue
        if version == "v1":
            found |= any([hmac.compare_digest(digest, one) for one in expected])  # noqa: C419 - always as long
    if not found:
        raise NotGenuine("no signature fits")
    return message_id


def _mac(message_id: str, timestamp: str, body: bytes, secret: str) -> bytes:
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return hmac.digest(_key(secret), signed, "sha256")


def _key(secret: str) -> bytes:
    """Return the bytes of a secret: what is behind whsec_ is base64, everything else is what it is."""
    if secret.startswith(_ENCODED):
        try:
            return base64.b64decode(secret[len(_ENCODED) :], validate=True)
        except binascii.Error:
            pass
    return secret.encode()
