"""The buffer of one client: chunks of files that wait to be sent, in a table that the documents describe.

A row is a chunk, a dictionary as the documents say, and its bytes beside it (or where they lie in the source file). All
of a file's rows come, and go, in one transaction. Blocking but for `ChunkStorage`'s own methods.
"""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
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


@dataclass(frozen=True, slots=True)
class Plan:
    """A file that is about to be sent: *first* is its first chunk's record, *uploaded* what the server took from us."""

    name: str
    first: dict[str, Any]
    indexes: list[int]
    uploaded: set[int]
    was_tried: bool
    server_name: str | None

    @property
    def upload_id(self) -> str | None:
        """Return what tells this upload from others of its name."""
        return self.first.get("uploadId")


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

    def plan(self, name: str) -> Plan:
        """Return what there is of a file: little per chunk, however many there are."""
        sql = f"SELECT position, {_STATUS} = 'uploaded' FROM chunks WHERE file = ? ORDER BY position"
        indexes, uploaded = [], set()
        for index, is_uploaded in self.rows(sql, as_text(name)):
            indexes.append(int(index or 0))
            if is_uploaded:
                uploaded.add(int(index or 0))
        [(tried, server_name)] = self.rows(
            "SELECT MAX(json_extract(value, '$.retryMetadata.lastAttempt') IS NOT NULL),"
            " MAX(json_extract(value, '$.serverName')) FROM chunks WHERE file = ?",
            as_text(name),
        )
        first = self.record(name, indexes[0]) if indexes else {}
        return Plan(name, first, indexes, uploaded, bool(tried), server_name)

    def record(self, name: str, index: int) -> dict[str, Any]:
        """Return a chunk without its bytes; empty where it is not here any more."""
        sql = "SELECT json_remove(value, '$.data') FROM chunks WHERE file = ? AND position = ?"
        found = self.rows(sql, as_text(name), index)
        return dict(json.loads(found[0][0])) if found else {}

    def chunk(self, name: str, index: int) -> tuple[dict[str, Any], bytes]:
        """Return a chunk and its bytes.

        Raises:
            SourceChanged: it is not here any more, or its source is not what was added.
        """
        record = self.record(name, index)
        if not record:
            raise SourceChanged(f"{name} was removed from the buffer")
        return record, self.bytes_of(record)

    def records(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a file, in order, without their bytes; few of them are in memory."""
        for record, _ in self._pages(name, "0"):
            yield record

    def sized_records(self, name: str) -> Iterator[tuple[dict[str, Any], int]]:
        """As `records`, and how many bytes of each are here."""
        return self._pages(name, "COALESCE(LENGTH(data), LENGTH(json_extract(value, '$.data')) / 2, 0)")

    def _pages(self, name: str, size: str) -> Iterator[tuple[dict[str, Any], int]]:
        sql = (
            f"SELECT json_remove(value, '$.data'), {size} FROM {self._joined}"
            " WHERE file = ? AND position > ? ORDER BY position LIMIT ?"
        )
        after = -1
        while page := self.rows(sql, as_text(name), after, _PAGE):
            for value, size_bytes in page:
                record = json.loads(value)
                after = record["chunkIndex"]
                yield record, int(size_bytes)

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

    def note_uploaded(self, plan: Plan, indexes: Iterable[int], server_name: str | None = None) -> None:
        """The server has these, and calls their file so."""
        changes = {"status": UPLOADED} | ({} if server_name is None else {"serverName": server_name})
        with self._noting() as conn:
            for index in indexes:
                _set(conn, plan, index, changes)

    def note_failure(self, plan: Plan, delay_ms: int, message: str) -> None:
        """One attempt at all that is still to be sent of this file failed."""
        at = now_ms()
        self._note_pending(plan, lambda metadata: retry.after_failure(metadata, at, delay_ms, message))

    def note_wait(self, plan: Plan, until_ms: int) -> None:
        """The server takes nothing of this file before that time; nobody is to blame."""
        self._note_pending(plan, lambda metadata: {**metadata, "nextRetry": until_ms})

    def _note_pending(self, plan: Plan, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        with self._noting() as conn:
            for record in self.records(plan.name):
                if record.get("status", PENDING) == PENDING and record.get("uploadId") == plan.upload_id:
                    _set(conn, plan, record["chunkIndex"], {"retryMetadata": change(record.get("retryMetadata", {}))})

    def confirm(self, plan: Plan, keep: bool) -> None:
        """The server has the whole file: remove it, or keep its records, without bytes."""
        same = (as_text(plan.name), plan.upload_id)
        with self._noting() as conn:
            if keep:
                conn.execute(
                    "UPDATE chunks SET value = json_set(value, '$.status', 'confirmed', '$.confirmedAt', ?)"
                    f" WHERE {_SAME}",
                    (now_ms(), *same),
                )
                conn.execute(f"DELETE FROM chunks_data WHERE key IN (SELECT key FROM chunks WHERE {_SAME})", same)
            else:
                conn.execute(f"DELETE FROM chunks WHERE {_SAME}", same)

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


_SAME = "file = ? AND json_extract(value, '$.uploadId') IS ?"
"""A file that was added again meanwhile is another upload: nothing about the old one is noted there."""

_PAGE = 500


def _set(conn: Any, plan: Plan, index: int, changes: dict[str, Any]) -> None:
    """Change fields of one row."""
    paths = ", ".join(f"'$.{name}', json(?)" for name in changes)
    conn.execute(
        f"UPDATE chunks SET value = json_set(value, {paths}), updated_at = ? WHERE position = ? AND {_SAME}",
        (*map(json.dumps, changes.values()), time.time(), index, as_text(plan.name), plan.upload_id),
    )


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
