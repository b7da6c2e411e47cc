"""File names are bytes; JSON and query strings are text. The one way between them.

Where the bytes are valid UTF-8, ``filepath`` says it all. Where they are not, ``filepath`` shows U+FFFD for people and
``filepath_b64`` (standard base64) beside it says the truth; in requests the ``_b64`` field wins. Query strings carry
percent-encoded raw bytes.
"""

import base64
import binascii
from urllib.parse import parse_qsl, quote

SERVER_DATA_MARK = b".pp_server-data"
"""A file of this name says that its directory is a server's: a daemon that sees it leaves all of the directory out,
because what is uploaded from there changes it, without end."""

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4095


def display(path: bytes) -> str:
    """Return *path* for a person to read; bytes that are no UTF-8 become U+FFFD."""
    return path.decode("utf-8", "replace")


def to_json(path: bytes) -> tuple[str, str | None]:
    """Return (plain, base64 or None): the two fields that stand for *path* in JSON."""
    try:
        return path.decode("utf-8"), None
    except UnicodeDecodeError:
        return display(path), base64.b64encode(path).decode("ascii")


def json_fields(path: bytes, field: str = "filepath") -> dict[str, str]:
    """Return `to_json` as the fields of an object: *field*, and *field*_b64 only where it is needed."""
    plain, encoded = to_json(path)
    return {field: plain} if encoded is None else {field: plain, f"{field}_b64": encoded}


def from_json(plain: str, encoded: str | None = None) -> bytes:
    """Return the bytes that the two JSON fields stand for.

    Raises:
        ValueError: the base64 is broken, or the name is empty, too long, or holds NUL or a lone surrogate.
    """
    if encoded is None:
        try:
            path = plain.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("holds a lone surrogate; send the bytes as base64 instead") from None
    else:
        try:
            path = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("is not standard base64") from None
    if not path:
        raise ValueError("is empty")
    if b"\0" in path:
        raise ValueError("holds a NUL byte, which no file name can")
    if len(path) > MAX_PATH_BYTES:
        raise ValueError(f"is longer than {MAX_PATH_BYTES} bytes")
    return path


def query_bytes(query_string: bytes, field: str) -> bytes | None:
    """Return the raw bytes of one query parameter, or None where it is absent."""
    pairs = parse_qsl(
        query_string.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="surrogateescape"
    )
    values = [value for name, value in pairs if name == field]
    return values[-1].encode("utf-8", "surrogateescape") if values else None


def to_query(path: bytes) -> str:
    """Return *path* percent-encoded for a query string."""
    return quote(path, safe="/")


def below(path: bytes) -> tuple[bytes, bytes]:
    """Return the half-open byte range [first, last) of everything strictly below directory *path*.

    ``/`` is 0x2f and 0x30 follows it, so ``path + "/"`` .. ``path + "0"`` holds exactly the paths with that prefix.
    """
    stem = path.rstrip(b"/")
    return stem + b"/", stem + b"0"
