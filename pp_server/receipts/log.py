"""The receipts log: every version the server ever recorded, in files that only grow.

Each file begins with a line that names the format; each further line is the CRC-32 of its JSON (8 digits), a space, and
JSON: a signed batch of entries. The first record of a version is the truth about it; repeats are harmless. Nothing is
appended to a file of an earlier start.
"""

import base64
import json
import os
import re
import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pp_server.appended import AppendedFile, TakesNoMore, read_past_damage
from pp_server.core.errors import ServerError
from pp_server.core.model import Facts, VersionStatus
from pp_server.core.recorded import Recorded, Whose
from pp_server.core.versions import Version
from pp_server.durable import Durable
from pp_server.receipts.signer import Signer
from pp_server.wire.digest import Digest
from pp_server.wire.merkle import Tree, leaf_hash
from pp_server.wire.names import from_json
from pp_server.wire.receipts import Receipt, canonical, quoted

FORMAT = b"putplace receipts log 1\n"
FULL_BYTES = 64 * 1024 * 1024
_SUFFIX = ".log"
_TAIL_BYTES = 8 * 1024 * 1024
"""Several of the longest lines."""
_SEQUENCES = re.compile(rb'"sequence":(\d{1,16})')
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LoggedBatch:
    """One line of the log."""

    entries: list[Recorded]
    key_id: str
    signature: str
    """Base64."""


class ReceiptsLog:
    """The log in *directory*. All methods block."""

    def __init__(self, directory: str, durable: Durable, full_bytes: int = FULL_BYTES) -> None:
        self._directory = directory
        self._durable = durable
        self._full_bytes = full_bytes
        self._choosing = threading.Lock()
        self._current: AppendedFile | None = None

    def append(self, entries: Sequence[Recorded], signer: Signer) -> None:
        """Append entries as one signed batch, durable when this returns.

        Raises:
            StorageFull, StorageFailed, SyncFailed: they are not in the log, as far as anybody knows.
        """
        line = _line(entries, signer)
        while True:
            with suppress(TakesNoMore):  # filled or broken by somebody else since we chose it
                self._file().append([line])
                return

    def _file(self) -> AppendedFile:
        with self._choosing:
            current = self._current
            if current is None or not current.is_usable or current.size_bytes >= self._full_bytes:
                self._close()
                name = f"{time.time_ns() // 1_000_000:013d}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
                self._current = current = AppendedFile(os.path.join(self._directory, name), self._durable, FORMAT)
            return current

    def close(self) -> None:
        """Append nothing more."""
        with self._choosing:
            self._close()

    def _close(self) -> None:
        if self._current is not None:
            self._current.close()
            self._current = None

    def is_empty(self) -> bool:
        """Say whether there is no file at all."""
        return not self._names()

    def _names(self) -> list[str]:
        return sorted(name for name in os.listdir(self._directory) if name.endswith(_SUFFIX))

    def highest(self) -> int:
        """Return the highest sequence in the log, from the end of its newest file; 0 where there is none.

        A line that has no end does not count: nothing of it was acknowledged.
        """
        for name in reversed(self._names()):
            with open(os.path.join(self._directory, name), "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
                lines, _, _ = file.read().rpartition(b"\n")
                found = [int(number) for number in _SEQUENCES.findall(lines)]
            if found:
                return max(found)
        return 0

    def read(self) -> Iterator[LoggedBatch | None]:
        """Yield every line, oldest file first; None for a line that is damaged or was cut off while it was written."""
        for name in self._names():
            for line in _lines(os.path.join(self._directory, name)):
                if line != FORMAT:
                    yield _parsed(line)


def _lines(path: str) -> Iterator[bytes]:
    """Yield the lines of a file, those that the disk cannot read as well, with zeros in them."""
    with open(path, "rb", buffering=0) as file:
        offset, begun = 0, bytearray()
        while block := read_past_damage(file.fileno(), _BLOCK_BYTES, offset):
            offset += len(block)
            *ended, rest = block.split(b"\n")
            for end in ended:
                yield bytes(begun + end) + b"\n"
                begun = bytearray()
            begun += rest
    if begun:
        yield bytes(begun)


def _line(entries: Sequence[Recorded], signer: Signer) -> bytes:
    signature = signer.sign(Tree([entry.leaf for entry in entries]).root)
    text = b'{"key_id":"%b","signature":"%b","entries":[%b]}' % (
        signer.public.key_id.encode("ascii"),
        base64.b64encode(signature),
        b",".join(map(_to_json, entries)),
    )
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _parsed(line: bytes) -> LoggedBatch | None:
    crc, _, text = line.rstrip(b"\n").partition(b" ")
    if crc != b"%08x" % zlib.crc32(text):
        return None
    try:
        batch = json.loads(text)
        entries = [_from_json(entry) for entry in batch["entries"]]
        return LoggedBatch(entries, batch["key_id"], batch["signature"])
    except (ValueError, KeyError, TypeError, ServerError):
        return None


def _to_json(entry: Recorded) -> bytes:
    """Return an entry: its receipt, the facts that are known, and what its row has besides."""
    version, facts = entry.version, entry.version.facts
    mtime = "" if facts.mtime_ns is None else f',"mtime_ns":{facts.mtime_ns}'
    mode = "" if facts.mode is None else f',"mode":{facts.mode}'
    uid = "" if facts.uid is None else f',"uid":{facts.uid}'
    gid = "" if facts.gid is None else f',"gid":{facts.gid}'
    user = "" if facts.user_name is None else f',"user_name":{quoted(facts.user_name)}'
    group = "" if facts.group_name is None else f',"group_name":{quoted(facts.group_name)}'
    link = (
        "" if facts.link_target is None else f',"link_target":"{base64.b64encode(facts.link_target).decode("ascii")}"'
    )
    mixed = ',"inconsistent":true' if facts.inconsistent else ""
    deleted = "null" if version.deleted_ms is None else version.deleted_ms
    rest = (
        f'"facts":{{"kind":"{facts.kind}"{mtime}{mode}{uid}{gid}{user}{group}{link}{mixed}}},'
        f'"hostname":{quoted(entry.hostname)},"stored_ms":{version.stored_ms},"deleted_ms":{deleted}}}'
    )
    return b'{"receipt":%b,%b' % (entry.words, rest.encode())


def _from_json(entry: dict[str, Any]) -> Recorded:
    facts = dict(entry["facts"])
    if "link_target" in facts:
        facts["link_target"] = base64.b64decode(facts["link_target"])
    receipt = Receipt.model_validate(entry["receipt"])
    version = Version(
        sequence=receipt.sequence,
        path=from_json(receipt.filepath, receipt.filepath_b64),
        gen=receipt.gen,
        status=VersionStatus(receipt.status),
        is_head=False,
        facts=Facts(**facts),
        sha256=None if receipt.sha256 is None else Digest(receipt.sha256),
        size_bytes=receipt.size,
        stored_ms=entry["stored_ms"],
        deleted_ms=entry["deleted_ms"],
    )
    whose = Whose(receipt.server_id, receipt.owner, receipt.host_id)
    words = canonical(receipt)
    return Recorded(version, whose, entry["hostname"], words, leaf_hash(words))
