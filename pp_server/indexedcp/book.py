"""Between uploads in memory and rows of the records."""

from typing import Any

from pp_server.indexedcp.folder import FileId
from pp_server.indexedcp.model import Chunk, Finished, Identity, Upload
from pp_server.indexedcp.names import Parts
from pp_server.indexedcp.tracking import Statement
from pp_server.wire.digest import Digest

_UPLOAD = """
INSERT OR REPLACE INTO uploads
(id, owner, name, tag, parts, device, inode, chunk_bytes, total_chunks, file_sha256, started_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_TOTAL = "UPDATE uploads SET total_chunks = ?, file_sha256 = ? WHERE id = ?"
_CHUNK = "INSERT OR REPLACE INTO chunks (upload, number, offset, length, sha256) VALUES (?, ?, ?, ?, ?)"
_FINISH = "UPDATE uploads SET finished_ms = ?, total_chunks = ?, size_bytes = ? WHERE id = ?"
_FORGET_CHUNKS = "DELETE FROM chunks WHERE upload = ?"
_FORGET_UPLOAD = "DELETE FROM uploads WHERE id = ?"
_KEPT = "UPDATE uploads SET kept = 1 WHERE id = ?"
_GONE = "UPDATE uploads SET size_bytes = NULL WHERE id = ?"
_CLEAN = "DELETE FROM uploads WHERE finished_ms < ? AND size_bytes IS NOT NULL AND (kept OR NOT ?)"

_COLUMNS = """id, owner, name, tag, parts, device, inode, chunk_bytes, total_chunks, file_sha256, started_ms,
finished_ms, size_bytes, kept"""
RUNNING = f"SELECT {_COLUMNS} FROM uploads WHERE finished_ms IS NULL ORDER BY started_ms"  # noqa: S608 - constants
FINISHED = f"SELECT {_COLUMNS} FROM uploads WHERE finished_ms IS NOT NULL ORDER BY finished_ms"  # noqa: S608
_FINISHED_LIKE = f"""SELECT {_COLUMNS} FROM uploads
WHERE finished_ms IS NOT NULL AND owner = ? AND name = ? AND tag IS ? ORDER BY finished_ms DESC LIMIT 1"""  # noqa: S608
CHUNKS = "SELECT upload, number, offset, length, sha256 FROM chunks ORDER BY upload, number"
MARKS = "SELECT name, number FROM marks"


def begun(upload: Upload) -> Statement:
    """Return what records an upload."""
    assert upload.file is not None
    owner, name, tag = upload.identity
    return _UPLOAD, (
        upload.id,
        _encoded(owner),
        _encoded(name),
        tag,
        _encoded("\n".join(upload.parts)),
        *_signed(upload.file),
        upload.chunk_bytes,
        upload.total_chunks,
        upload.file_sha256,
        upload.started_ms,
    )


def chunks(upload: Upload, new: dict[int, Chunk]) -> list[Statement]:
    """Return what records chunks of an upload."""
    return [
        (_TOTAL, (upload.total_chunks, upload.file_sha256, upload.id)),
        *((_CHUNK, (upload.id, n, c.offset, c.length, c.sha256)) for n, c in new.items()),
    ]


def finished(over: Finished) -> list[Statement]:
    """Return what records that an upload is over; its chunks are told apart no more, if it is whole."""
    statements: list[Statement] = [(_FINISH, (over.finished_ms, over.chunks, over.size_bytes, over.id))]
    return statements if over.size_bytes is None else [*statements, (_FORGET_CHUNKS, (over.id,))]


def over(upload: Finished) -> list[Statement]:
    """Return what records an upload that is over as a whole."""
    owner, name, tag = upload.identity
    names = (upload.id, _encoded(owner), _encoded(name), tag, _encoded("\n".join(upload.parts)))
    numbers = (*_signed(upload.file), None, upload.chunks, None, upload.finished_ms)
    more = [(_KEPT, (upload.id,))] if upload.is_kept else []
    return [
        (_UPLOAD, names + numbers),
        (_FINISH, (upload.finished_ms, upload.chunks, upload.size_bytes, upload.id)),
        *more,
    ]


def renamed(upload_id: str, parts: Parts) -> list[Statement]:
    """Return what records that a file is called otherwise."""
    return [("UPDATE uploads SET parts = ? WHERE id = ?", (_encoded("\n".join(parts)), upload_id))]


def finished_like(identity: Identity) -> Statement:
    """Return the question for the last upload of that identity that is over."""
    owner, name, tag = identity
    return _FINISHED_LIKE, (_encoded(owner), _encoded(name), tag)


def kept(upload_id: str) -> list[Statement]:
    """Return what records that the file lies in the store."""
    return [(_KEPT, (upload_id,))]


def gone(upload_id: str) -> list[Statement]:
    """Return what records that the whole file is there no more, and was not taken to the store."""
    return [(_GONE, (upload_id,))]


def forgotten(upload_id: str) -> list[Statement]:
    """Return what forgets an upload."""
    return [(_FORGET_CHUNKS, (upload_id,)), (_FORGET_UPLOAD, (upload_id,))]


def cleaned(before_ms: int, only_kept: bool) -> list[Statement]:
    """Return what forgets uploads that are over for long; with *only_kept*, of those only what is in the store."""
    return [(_CLEAN, (before_ms, only_kept))]


def marked(name: str, number: int) -> Statement:
    """Return what records a mark."""
    return "INSERT OR IGNORE INTO marks (name, number) VALUES (?, ?)", (_encoded(name), number)


def upload_of(row: tuple[Any, ...]) -> Upload:
    """Return a row as a running upload, without its chunks."""
    over = finished_of(row)
    digest = None if row[9] is None else Digest(row[9])
    return Upload(over.id, over.identity, row[10], over.parts, over.file, row[7], row[8], digest)


def finished_of(row: tuple[Any, ...]) -> Finished:
    """Return a row as an upload that is over."""
    identity = (decoded(row[1]), decoded(row[2]), row[3])
    file = FileId(row[5] % _TWO_64, row[6] % _TWO_64)
    return Finished(
        row[0], identity, tuple(decoded(row[4]).split("\n")), file, row[8] or 0, row[12], row[11] or 0, bool(row[13])
    )


_TWO_64 = 1 << 64


def _signed(file: FileId) -> tuple[int, int]:
    """Return numbers that SQLite can hold: it knows signed ones only."""
    return tuple(n - _TWO_64 if n >= _TWO_64 >> 1 else n for n in file)  # type: ignore[return-value]


def _encoded(text: str) -> str:
    """Return text that SQLite can hold; bytes that are no Unicode are escaped, and so is what escapes."""
    return text.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode()


def decoded(text: str) -> str:
    """Return what `_encoded` was given."""
    return text.encode("ascii", "backslashreplace").decode("unicode_escape") if "\\" in text else text
