"""The receipts log as documented: is everything acknowledged in it?

Reads the files itself, so that reader and writer are not wrong together.
"""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.oracle.oracle import Broken, Fact, Oracle

HEAD = b"putplace receipts log 1\n"


def entries(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield the receipts of all whole lines, oldest file first; a line cut off while it was written is left out.

    So is a file whose first line was cut off: nothing was acknowledged in it yet.
    """
    for file in sorted(directory.glob("*.log")):
        content = file.read_bytes()
        if HEAD.startswith(content):
            continue
        first, *lines = content.splitlines(keepends=True)
        if first != HEAD:
            raise Broken(f"{file.name} begins with {first[:40]!r}")
        for line in lines:
            crc, _, text = line.rstrip(b"\n").partition(b" ")
            if crc == b"%08x" % zlib.crc32(text):
                for entry in json.loads(text)["entries"]:
                    yield entry["receipt"]


def check_log(oracle: Oracle, directory: Path) -> int:
    """Find every acknowledged version in the log, as it was acknowledged; return how many.

    Raises:
        Broken: one is missing, or differs.
    """
    logged: dict[tuple[str, str, int], dict[str, Any]] = {}
    for receipt in entries(directory):
        logged.setdefault((receipt["host_id"], receipt["filepath"], receipt["gen"]), receipt)
    found = 0
    for fact in oracle.acked():
        receipt = logged.get((fact.host, fact.path, fact.gen))
        if receipt is None or not _same(fact, receipt, oracle.receipts.get(fact)):
            raise Broken(f"{fact} with {oracle.receipts.get(fact)} is in the receipts log as {receipt}")
        found += 1
    return found


def _same(fact: Fact, logged: dict[str, Any], given: dict[str, Any] | None) -> bool:
    if fact.is_tombstone != (logged["status"] == "deleted"):
        return False
    return given is None or all(logged.get(name) == value for name, value in given.items() if value is not None)
