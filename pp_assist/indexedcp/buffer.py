"""The buffer of one client: chunks of files that wait to be sent, in a table that the documents describe.

A row is a chunk, a dictionary as the documents say, and its bytes beside it (or where they lie in the source file). All
of a file's rows come, and go, in one transaction. Blocking but for `ChunkStorage`'s own methods.
"""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pp_assist.indexedcp import retry
from pp_assist.indexedcp.errors import SourceChanged
from pp_assist.indexedcp.storage.sqlite import SQLiteStorage, as_text, from_text
from pp_assist.posix import pread

PENDING, UPLOADED, CONFIRMED = "pending", "uploaded", "confirmed"
"""Not sent; the server has it; the server has all of the file."""

_STATUS = "COALESCE(json_extract(value, '$.status'), 'pending')"


@dataclass(frozen=True, slots=True)
class BufferedFile:
    """One file in the buffer."""

    name: str
    chunks: int
    pending: int
    uploaded: int
    confirmed: int
    size_bytes: int
    next_retry_ms: int
    retry_count: int

    @property
    def status(self) -> str:
        """Return where it stands."""
        if self.confirmed == self.chunks:
            return CONFIRMED
        return UPLOADED if not self.pending else PENDING


def now_ms() -> int:
    """Return milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class ChunkStorage(SQLiteStorage):
    """The table ``chunks``. The file's name stands in a column as well, so that files are found at once."""

    def __init__(self, db_path: str, log_level: str | int | None = None) -> None:
        super().__init__(db_path, "chunks", log_level)

    def _create(self, conn: Any) -> None:
        super()._create(conn)
        if "file" not in {row[1] for row in conn.execute("PRAGMA table_info(chunks)")}:
            conn.execute("ALTER TABLE chunks ADD COLUMN file TEXT")
            conn.execute("ALTER TABLE chunks ADD COLUMN position INTEGER")
            conn.execute(
                "UPDATE chunks SET file = json_extract(value, '$.fileName'),"
                " position = json_extract(value, '$.chunkIndex')"
            )
        conn.execute("CREATE INDEX IF NOT EXISTS chunks_by_file ON chunks (file, position)")

    def put(self, conn: Any, key: str, record: dict[str, Any], data: bytes | None = None) -> None:
        """See `SQLiteStorage`."""
        super().put(conn, key, record, data)
        place = as_text(record.get("fileName", "")), record.get("chunkIndex")
        conn.execute("UPDATE chunks SET file = ?, position = ? WHERE key = ?", (*place, as_text(key)))

    # adding

    def add_file(self, path: str, chunk_bytes: int, copy: bool, with_sha256: bool) -> int:
        """Buffer a file in place of what is here of it; return how many chunks it has.

        Raises:
            FileNotFoundError, ValueError: there is no such file, or it is none.
            SourceChanged: it changed while it was read; what was here is here still.
        """
        if not os.path.exists(path):
            raise FileNotFoundError(f"File not found: {path}")
        if not os.path.isfile(path):
            raise ValueError(f"Not a file: {path}")
        with open(path, "rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            total = max(1, -(-before.st_size // chunk_bytes))
            digest = _digest(file.fileno()) if with_sha256 else None
            common = {
                "status": PENDING,
                "uploadId": secrets.token_hex(16),
                "totalChunks": total,
                "chunkSize": chunk_bytes,
                "fileSize": before.st_size,
                **({"fileSha256": digest} if digest else {}),
                **({} if copy else {"source": {"path": os.path.abspath(path), "stat": _stat(before)}}),
            }
            with self.transaction() as conn:
                conn.execute("DELETE FROM chunks WHERE file = ?", (as_text(path),))
                for index in range(total):
                    data = pread(file.fileno(), chunk_bytes, index * chunk_bytes) if copy else None
                    key = f"{path}-{index}"
                    record = {
                        "id": key,
                        "fileName": path,
                        "chunkIndex": index,
                        "data": None,
                        "retryMetadata": retry.fresh(now_ms()),
                        **common,
                    }
                    self.put(conn, key, record, data)
                if _stat(os.fstat(file.fileno())) != _stat(before):
                    raise SourceChanged(f"{path} changed while it was read")
        return total

    # asking

    def files(self) -> list[BufferedFile]:
        """Return what is in the buffer, oldest file first."""
        rows = self.rows(
            f"SELECT file, COUNT(*), SUM({_STATUS} = 'pending'), SUM({_STATUS} = 'uploaded'),"
            f" SUM({_STATUS} = 'confirmed'),"
            " COALESCE(MAX(json_extract(value, '$.fileSize')), SUM(COALESCE(LENGTH(json_extract(value, '$.data')) / 2,"
            " (SELECT LENGTH(data) FROM chunks_data d WHERE d.key = chunks.key), 0))),"
            f" MAX(CASE {_STATUS} WHEN 'pending' THEN json_extract(value, '$.retryMetadata.nextRetry') END),"
            " MAX(json_extract(value, '$.retryMetadata.retryCount'))"
            " FROM chunks GROUP BY file ORDER BY MIN(rowid)"
        )
        return [BufferedFile(from_text(row[0]), *row[1:6], *(number or 0 for number in row[6:])) for row in rows]

    def records(self, name: str) -> list[dict[str, Any]]:
        """Return the chunks of a file, in order, without their bytes."""
        rows = self.rows(
            "SELECT json_remove(value, '$.data') FROM chunks WHERE file = ? ORDER BY position", as_text(name)
        )
        return [json.loads(value) for (value,) in rows]

    def size_of(self, key: str) -> int:
        """Return how many bytes of a chunk are here."""
        size = "COALESCE(LENGTH(data), LENGTH(json_extract(value, '$.data')) / 2, 0)"
        sql = f"SELECT {size} FROM {self._joined} WHERE key = ?"
        rows = self.rows(sql, as_text(key))
        return int(rows[0][0]) if rows else 0

    def bytes_of(self, record: dict[str, Any]) -> bytes:
        """Return the bytes of a chunk, from here or from its source.

        Raises:
            SourceChanged: the source is not what was added.
        """
        if "source" in record:
            return _from_source(record)
        sql = f"SELECT data, json_extract(value, '$.data') FROM {self._joined} WHERE key = ?"
        rows = self.rows(sql, as_text(record["id"]))
        if not rows:
            raise SourceChanged(f"{record['fileName']} was removed from the buffer")
        data, text = rows[0]
        return bytes(data) if data is not None else bytes.fromhex(text or "")

    # noting

    @contextmanager
    def _noting(self) -> Iterator[Any]:
        """As `transaction`, and not synced at once: what is noted here, losing it costs a chunk sent again at most."""
        with self._lock:
            conn = self._opened()
            conn.execute("PRAGMA synchronous = NORMAL")
            try:
                with self.transaction() as same:
                    yield same
            finally:
                conn.execute("PRAGMA synchronous = FULL")

    def note_uploaded(self, records: Iterable[dict[str, Any]], server_name: str | None = None) -> None:
        """The server has these, and calls their file so."""
        named = {} if server_name is None else {"serverName": server_name}
        with self._noting() as conn:
            for record in records:
                _set(conn, record, status=UPLOADED, **named)

    def note_failure(self, records: Iterable[dict[str, Any]], delay_ms: int, message: str) -> None:
        """One attempt at all of these failed."""
        at = now_ms()
        with self._noting() as conn:
            for record in records:
                noted = retry.after_failure(record.get("retryMetadata", {}), at, delay_ms, message)
                _set(conn, record, retryMetadata=noted)

    def note_wait(self, records: Iterable[dict[str, Any]], until_ms: int) -> None:
        """The server takes none of these before that time; nobody is to blame."""
        with self._noting() as conn:
            for record in records:
                _set(conn, record, retryMetadata={**record.get("retryMetadata", {}), "nextRetry": until_ms})

    def confirm(self, records: list[dict[str, Any]], keep: bool) -> None:
        """The server has the whole file: remove it, or keep its records, without bytes."""
        with self._noting() as conn:
            for record in records:
                if keep:
                    _set(conn, record, status=CONFIRMED, confirmedAt=now_ms())
                else:
                    conn.execute(_DELETE, (as_text(record["id"]), record.get("uploadId")))

    def drop_confirmed(self, before_ms: int) -> None:
        """Forget records of files that were confirmed before that time."""
        with self.transaction() as conn:
            conn.execute(
                f"DELETE FROM chunks WHERE {_STATUS} = 'confirmed' AND json_extract(value, '$.confirmedAt') < ?",
                (before_ms,),
            )

    def clear(self) -> None:
        """Forget everything."""
        with self.transaction() as conn:
            conn.execute("DELETE FROM chunks")


_SAME = "key = ? AND json_extract(value, '$.uploadId') IS ?"
"""A file that was added again meanwhile is another upload: nothing about the old one is noted there."""

_DELETE = f"DELETE FROM chunks WHERE {_SAME}"


def _set(conn: Any, record: dict[str, Any], **changes: Any) -> None:
    """Change fields of a row, and of *record*."""
    record.update(changes)
    paths = ", ".join(f"'$.{name}', json(?)" for name in changes)
    done = conn.execute(
        f"UPDATE chunks SET value = json_set(value, {paths}), updated_at = ? WHERE {_SAME}",
        (*map(json.dumps, changes.values()), time.time(), as_text(record["id"]), record.get("uploadId")),
    )
    if done.rowcount and changes.get("status") == CONFIRMED:
        conn.execute("DELETE FROM chunks_data WHERE key = ?", (as_text(record["id"]),))


def _stat(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]


def _digest(fd: int) -> str:
    hasher, offset = hashlib.sha256(), 0
    while block := pread(fd, 1 << 20, offset):
        hasher.update(block)
        offset += len(block)
    return hasher.hexdigest()


def _from_source(record: dict[str, Any]) -> bytes:
    source, size = record["source"], record["chunkSize"]
    try:
        with open(source["path"], "rb", buffering=0) as file:
            if _stat(os.fstat(file.fileno())) == source["stat"]:
                data = pread(file.fileno(), size, record["chunkIndex"] * size)
                if _stat(os.fstat(file.fileno())) == source["stat"]:
                    return data
    except OSError as error:
        raise SourceChanged(f"{source['path']} cannot be read: {error.strerror}") from error
    raise SourceChanged(f"{source['path']} is not what it was when it was added: add it again")
