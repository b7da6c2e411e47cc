"""API keys: issue, check, revoke."""

import hmac
import math
import secrets
import time
from collections.abc import Callable, Iterable

from pp_server.core.errors import Forbidden, RateLimited, ServerError, Unauthorized
from pp_server.core.failures import Failures
from pp_server.core.keys import ParsedKey, format_key, hash_secret, parse_key
from pp_server.core.model import Caller, KeyRecord, NewKey, Scope
from pp_server.metadata.base import MetadataStore

TRUSTED_FOR_S = 0.5
"""So long a key is taken from memory; a revocation is in force at the latest then."""

MAX_REMEMBERED = 10_000
_NOBODY = bytes(32)


class Keys:
    """Checks keys against the records. Keys are kept hashed; the secret is shown once, when it is made."""

    def __init__(self, metadata: MetadataStore, now_ms: Callable[[], int], failures: Failures) -> None:
        self._metadata = metadata
        self._now_ms = now_ms
        self._failures = failures
        self._known: dict[str, tuple[float, KeyRecord]] = {}
        self._used_ms: dict[str, int] = {}

    async def create(
        self, name: str, owner: str | None, scopes: Iterable[Scope], host_id: str | None
    ) -> tuple[KeyRecord, str]:
        """Return a new key's record and the key itself, which nobody can show again."""
        key_id, secret = secrets.token_hex(8), secrets.token_hex(32)
        new = NewKey(key_id, owner or name, name, frozenset(scopes), host_id, hash_secret(secret))
        return await self._metadata.create_key(new, self._now_ms()), format_key(key_id, secret)

    async def list(self) -> "list[KeyRecord]":
        """Return all keys, revoked ones too."""
        await self.flush()
        return await self._metadata.list_keys()

    async def revoke(self, key_id: str) -> KeyRecord | None:
        """End a key at once; None where there is none of that id."""
        record = await self._metadata.revoke_key(key_id, self._now_ms())
        self._known.pop(key_id, None)
        return record

    async def caller(self, text: str | None, address: str = "") -> Caller:
        """Return whom the key *text*, sent from *address*, stands for.

        Raises:
            Unauthorized: no key, no such key, or a revoked one; nothing tells which.
            RateLimited: the same, once too often from there or for that key. A good key is always good.
        """
        parsed = parse_key(text) if text else None
        record = await self._record(parsed.id) if parsed else None
        good = hmac.compare_digest(
            record.secret_sha256 if record else _NOBODY, parsed.secret_sha256 if parsed else b"\1" * 32
        )
        if record is None or not good or record.revoked_ms is not None:
            raise self._failed(parsed, address)
        self._used_ms[record.id] = self._now_ms()
        return Caller(record.id, record.owner_id, record.owner, record.scopes, record.host_id)

    def _failed(self, parsed: ParsedKey | None, address: str) -> ServerError:
        now = time.monotonic()
        wait_s = self._failures.note(f"address {address}", now)
        if parsed is not None:
            wait_s = max(wait_s, self._failures.note(f"key {parsed.id}", now))
        if wait_s > 0:
            return RateLimited("Too many requests without a valid API key", math.ceil(wait_s))
        return Unauthorized("A valid API key is needed")

    async def _record(self, key_id: str) -> KeyRecord | None:
        now = time.monotonic()
        known = self._known.get(key_id)
        if known is not None and now - known[0] < TRUSTED_FOR_S:
            return known[1]
        record = await self._metadata.find_key(key_id)
        if record is not None:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[key_id] = (now, record)
        return record

    async def flush(self) -> None:
        """Record when keys were last used."""
        used, self._used_ms = self._used_ms, {}
        if used:
            await self._metadata.touch_keys(used)


def require(caller: Caller, scope: Scope) -> Caller:
    """Return *caller*, who may do this.

    Raises:
        Forbidden: the key lacks the scope.
    """
    if scope not in caller.scopes:
        raise Forbidden(f"This key lacks the scope {scope.value}")
    return caller
