"""Does a file's content say that some of it is missing? Pure, from its first and last bytes.

A writer that is cut off leaves a file that rests like any other. Kinds of files that end in a mark of their own are
told from their halves by it: PDF, and whatever is a ZIP archive.
"""

import re

EDGE_BYTES = 1536
"""So much from either end is enough."""

_ZIP_NAMES = (".zip", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".jar", ".epub")
_ZIP_END = b"PK\x05\x06"
_LINEARIZED = re.compile(rb"/Linearized\b.*?/L\s+(\d+)", re.DOTALL)
_START = re.compile(rb"startxref\s+(\d+)\s+%%EOF")


def why_not_whole(name: bytes, size_bytes: int, head: bytes, tail: bytes) -> str | None:
    """Return what is missing of a file, as far as its kind tells; None where nothing is known to be.

    *head* and *tail*: its first and last EDGE_BYTES, or all of it.
    """
    lower = name.lower()
    if lower.endswith(b".pdf"):
        return _pdf(size_bytes, head, tail)
    if lower.endswith(tuple(each.encode() for each in _ZIP_NAMES)):
        return None if _ZIP_END in tail or head[:2] != b"PK" else "the directory at the end of the archive is missing"
    return None


def _pdf(size_bytes: int, head: bytes, tail: bytes) -> str | None:
    if size_bytes == 0:
        return "the file is empty"
    if (linearized := _LINEARIZED.search(head[:1024])) and int(linearized[1]) > size_bytes:
        return f"it says it has {int(linearized[1])} bytes"
    ends = list(_START.finditer(tail))
    if not ends:
        return None if b"%%EOF" in tail[-1024:] and b"startxref" not in tail else "the end of the PDF is missing"
    if int(ends[-1][1]) == 0 and linearized:
        return "it ends after the first page"  # a linearized file has such an end in its middle
    return "its table lies beyond its end" if int(ends[-1][1]) >= size_bytes else None
