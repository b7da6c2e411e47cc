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
from pp_server.core.model import Facts
from pp_server.core.versions import Recorded
from pp_server.durable import Durable
from pp_server.receipts.signer import Signer
from pp_server.wire.receipts import Receipt, tree_of

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
        """Return the highest sequence in the log, from the end of its newest file; 0 where there is none."""
        for name in reversed(self._names()):
            with open(os.path.join(self._directory, name), "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
                found = [int(number) for number in _SEQUENCES.findall(file.read())]
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
    signature = signer.sign(tree_of([entry.receipt for entry in entries]).root)
    batch = {
        "key_id": signer.public.key_id,
        "signature": base64.b64encode(signature).decode("ascii"),
        "entries": [_to_json(entry) for entry in entries],
    }
    text = json.dumps(batch, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


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


def _to_json(entry: Recorded) -> dict[str, Any]:
    facts = {name: getattr(entry.facts, name) for name in Facts.__dataclass_fields__}
    if entry.facts.link_target is not None:
        facts["link_target"] = base64.b64encode(entry.facts.link_target).decode("ascii")
    return {
        "receipt": entry.receipt.model_dump(exclude_none=True),
        "facts": {name: value for name, value in facts.items() if value is not None and value is not False},
        "hostname": entry.hostname,
        "stored_ms": entry.stored_ms,
        "deleted_ms": entry.deleted_ms,
    }


def _from_json(entry: dict[str, Any]) -> Recorded:
    facts = dict(entry["facts"])
    if "link_target" in facts:
        facts["link_target"] = base64.b64decode(facts["link_target"])
    receipt = Receipt.model_validate(entry["receipt"])
    return Recorded(receipt, Facts(**facts), entry["hostname"], entry["stored_ms"], entry["deleted_ms"])
