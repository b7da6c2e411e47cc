"""Requests nobody means well with, and starts after a kill at the worst moment."""

import asyncio
import base64
import contextlib
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import sqlalchemy as sa
from serving import Client, Server, content, listening, sha

from pp_server.core.errors import StorageFailed, StorageFull
from pp_server.metadata.engine import storage_error

Running = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.mark.parametrize("text", [b"[" * 9000, b'{"a":' * 2000, b"1" * 5000, b"[9e999, 1, 1]"])
async def test_a_hostile_cursor_is_refused(client: Client, text: bytes) -> None:
    answer = await client.http.get("/api/files", params={"after": base64.urlsafe_b64encode(text).decode()})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("where", ["complete", "deletions"])
async def test_a_flood_of_bad_entries_is_answered_briefly(client: Client, where: str) -> None:
    entries = b"[" + b",".join([b"{}"] * 300_000) + b"]"
    if where == "complete":
        upload_id = await client.begin("/a", content(10))
        answer = await client.http.post(f"/api/uploads/{upload_id}/complete", content=b'{"parts":' + entries + b"}")
    else:
        answer = await client.http.post("/api/files/deletions", content=b'{"files":' + entries + b"}")
    assert answer.status_code == 422
    assert len(answer.content) < 10_000


def test_only_a_full_disk_counts_as_full() -> None:
    statement, path = "INSERT INTO files VALUES (?)", "/home/bob/my full backup"
    locked = sa.exc.OperationalError(statement, (path,), sqlite3.OperationalError("database is locked"))
    full = sa.exc.OperationalError(statement, (path,), sqlite3.OperationalError("database or disk is full"))
    assert type(storage_error(locked)) is StorageFailed
    assert type(storage_error(full)) is StorageFull


@pytest.mark.parametrize("left_over", ["blobs/.probe-0123", "blobs/.DS_Store"])
async def test_a_stray_file_does_not_keep_the_server_from_starting(running: Running, left_over: str) -> None:
    async with running() as server:
        await (await server.client()).upload("/a", content(10))
    (server.data_dir / left_over).write_bytes(b"probe")
    with contextlib.closing(sqlite3.connect(server.data_dir / "meta" / "pp.db")) as db:
        db.execute("UPDATE server_state SET value = '0' WHERE name = 'clean_epoch'")  # as after a kill
        db.commit()
    async with running():
        pass


async def test_killed_in_its_very_first_start_the_server_starts_again(running: Running, tmp_path: Path) -> None:
    left_over = tmp_path / "data" / "blobs" / ".probe-0123"
    left_over.parent.mkdir(parents=True)
    left_over.write_bytes(b"probe")
    async with running():
        assert not left_over.exists()


async def test_downloads_that_are_cut_leave_nothing_open(server: Server, client: Client) -> None:
    data = content(3 << 20)
    upload_id = await client.begin("/a", data, chunk_size=len(data))
    assert (await client.put(upload_id, 0, data)).status_code == 200
    assert (await client.complete(upload_id)).status_code == 200
    lines = (f"GET /api/files/{sha(data)}/content HTTP/1.1", "Host: x", f"Authorization: Bearer {client.api_key}", "")
    request = "\r\n".join([*lines, ""]).encode()

    def hit_and_run(address: tuple[str, int]) -> None:
        with socket.create_connection(address) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
            connection.sendall(request)

    async with listening(server) as address:
        for _ in range(40):
            await asyncio.to_thread(hit_and_run, address)
        async with asyncio.timeout(10):
            while sha(data) in "".join(open_files()):
                await asyncio.sleep(0.05)


def open_files() -> Iterator[str]:
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/self/fd/{fd}")
