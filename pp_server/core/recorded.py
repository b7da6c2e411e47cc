"""From versions to what is told of them: receipts, and entries of the receipts log."""

from functools import lru_cache
from typing import Literal, NamedTuple

from pp_server.core.model import VersionStatus
from pp_server.core.versions import Version
from pp_server.wire.merkle import leaf_hash
from pp_server.wire.names import to_json
from pp_server.wire.receipts import NO_DIGEST, NO_ENCODED_PATH, Receipt, canonical_of, quoted
from pp_server.wire.times import iso


class Whose(NamedTuple):
    """What a receipt says besides the version."""

    server_id: str
    owner: str
    host_id: str


def receipt_of(version: Version, whose: Whose) -> Receipt:
    """Return the receipt for a version as it was recorded; without a proof yet."""
    plain, encoded = to_json(version.path)
    return Receipt.model_construct(
        server_id=whose.server_id,
        owner=whose.owner,
        host_id=whose.host_id,
        filepath=plain,
        filepath_b64=encoded,
        gen=version.gen,
        kind=version.facts.kind,
        status=_status(version),
        sha256=version.sha256,
        size=version.size_bytes,
        stored_at=_when(version),
        sequence=version.sequence,
        proof=None,
    )


def words_of(version: Version, whose: Whose) -> bytes:
    """Return what is hashed of that receipt."""
    plain, encoded = to_json(version.path)
    return canonical_of(
        quoted(plain),
        encoded,
        version.gen,
        version.facts.kind,
        _quoted(whose),
        version.sequence,
        version.sha256,
        version.size_bytes,
        _status(version),
        f'"{_when(version)}"',
    )


@lru_cache(64)
def _quoted(whose: Whose) -> tuple[str, str, str]:
    return quoted(whose.server_id), quoted(whose.owner), quoted(whose.host_id)


def _status(version: Version) -> Literal["active", "deleted"]:
    return "deleted" if version.status is VersionStatus.DELETED else "active"


def _when(version: Version) -> str:
    return iso(version.stored_ms if version.deleted_ms is None else version.deleted_ms)


class Recorded(NamedTuple):
    """A version that is recorded, as the receipts log keeps it: enough to make its row again."""

    version: Version
    whose: Whose
    hostname: str
    words: bytes
    """What is hashed of its receipt."""
    leaf: bytes
    """The hash."""

    @property
    def sequence(self) -> int:
        """Return the version's number."""
        return self.version.sequence

    @property
    def nulls(self) -> bytes:
        """Return the JSON of the fields for which the receipt has no value."""
        version = self.version
        encoded = NO_ENCODED_PATH if version.path.isascii() or to_json(version.path)[1] is None else b""
        return encoded + NO_DIGEST if version.sha256 is None else encoded

    @property
    def receipt(self) -> Receipt:
        """Return its receipt, without a proof."""
        return receipt_of(self.version, self.whose)


def recorded(version: Version, whose: Whose, hostname: str) -> Recorded:
    """Return a version as the receipts log keeps it."""
    words = words_of(version, whose)
    return Recorded(version, whose, hostname, words, leaf_hash(words))
