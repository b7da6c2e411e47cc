"""Kills the server before and after each durable operation of an upload, and finishes the upload after a restart.

A script, so that the killed process is not the test's: `python killing.py DIRECTORY file|framed|base|pack|batch|tree`.
It imports everything once, goes through everything once, and forks for each round, which then has nothing to build but
the server. Prints one JSON line: the operations that were interrupted, in order.
"""

import asyncio
import gc
import json
import os
import shutil
import sys
from collections.abc import Coroutine
from pathlib import Path

from serving import CHUNK, Client, Clock, Server, client_put, content, sha

from pp_server.app import create_app
from pp_server.durable import Durable
from pp_server.receipts.log import ReceiptsLog
from pp_server.settings import Settings, StorageSettings
from pp_server.wire.trees import Entry, tree_digest

WHAT = sys.argv[2]
STORAGE = StorageSettings(pack_up_to_kb=0 if WHAT in ("file", "framed", "base") else 256)
DATA = content(2 * CHUNK + 100) if WHAT != "framed" else b"much the same; " * 143 + b"and the end"
OLD = DATA[: CHUNK + 5] + b"another" + DATA[CHUNK + 12 :]
BASE = {"sha256": sha(OLD), "same": [[0, CHUNK + 4], [CHUNK + 12, len(DATA) - 1]]}
SMALL = {f"/small/{n}": content(50 * n, n) for n in range(5)}
FINISHED, SURVIVED = 0, 3


class Killing(Durable):
    """Ends the process at the *at*-th step once armed."""

    def __init__(self, at: int, note: Path) -> None:
        super().__init__()
        self.at = at
        self.note = note
        self.steps = -1

    def arm(self) -> None:
        self.steps = 0

    def step(self, name: str) -> None:
        if self.steps < 0:
            return
        self.steps += 1
        if self.steps == self.at:
            self.note.write_text(name)
            os._exit(9)


async def with_client(data_dir: Path, durable: Durable, api_key: str | None, work) -> object:
    app = create_app(Settings(data_dir=data_dir, storage=STORAGE), durable, Clock())
    async with app.router.lifespan_context(app):
        server = Server(app, data_dir, Clock())
        if api_key is None:
            client = await server.client()
        else:
            client = Client(server.http({"Authorization": f"Bearer {api_key}"}), api_key)
        try:
            return await work(server, client)
        finally:
            for http in server.clients:
                await http.aclose()


async def prepare(server: Server, client: Client) -> str:
    return client.api_key


async def upload_until_killed(server: Server, client: Client, durable: Killing) -> None:
    if WHAT == "tree":
        puts = [client_put(path, data, gen=1) for path, data in SMALL.items()]
        assert (await client.batch(*puts)).status_code == 200
    if WHAT == "base":
        await client.upload("/old", OLD, gen=1)
    durable.arm()
    if WHAT == "base":
        await send_based(client)
    elif WHAT == "tree":
        assert (await client.batch(moving())).status_code == 200
    elif WHAT == "batch":
        assert (await client.batch(*operations())).status_code == 200
    else:
        await client.upload("/a", DATA, gen=1)
    durable.steps = -1


async def send_based(client: Client) -> dict:
    """Send what is missing, once what need not be sent is copied: so the steps have an order."""
    begun = (await client.initiate("/a", DATA, gen=1, base=BASE)).json()
    upload_id, missing = begun["upload_id"], begun["missing"]
    assert missing in ([], [[1, 1]])
    while missing and (await client.http.get(f"/api/uploads/{upload_id}")).json()["uploaded_count"] < 2:
        await asyncio.sleep(0.001)
    for first, last in missing:
        for n in range(first, last + 1):
            assert (await client.put(upload_id, n, DATA[n * CHUNK : (n + 1) * CHUNK])).status_code == 200
    done = await client.complete(upload_id)
    assert done.status_code == 200, done.text
    return done.json()


async def finish_and_compare_based(server: Server, client: Client) -> None:
    first, again = await send_based(client), await send_based(client)
    assert first["receipt"] == again["receipt"]
    assert first["receipt"]["sequence"] == 2
    for data in (OLD, DATA):
        assert (await client.download(sha(data))).content == data
    assert await client.listed() == ["/a", "/old"]
    stats = await server.stats()
    assert (stats["blobs"], stats["files"], stats["bytes_stored"]) == (2, 2, len(DATA) + len(OLD))
    assert stats["bytes_received"] <= len(OLD) + 2 * CHUNK
    assert not list((server.data_dir / "quarantine").iterdir())
    assert not server.staged()


def moving() -> dict:
    entries = [Entry(path[7:].encode(), "file", sha(data), len(data)) for path, data in SMALL.items()]
    known = {"count": len(entries), "digest": tree_digest(entries)}
    return {"op": "move_tree", "source": "/small", "filepath": "/moved", "gen": 2, **known}


async def finish_and_compare_tree(server: Server, client: Client) -> None:
    listed = await client.listed()
    assert listed in ([f"/small/{n}" for n in range(5)], [f"/moved/{n}" for n in range(5)]), "all of it, or nothing"
    answers = [(await client.batch(moving(), paths=False)).json()["results"][0] for _ in range(2)]
    assert answers[0] | {"proof": 0} == answers[1] | {"proof": 0}
    assert (answers[0]["status"], answers[0]["first_sequence"], answers[0]["count"]) == ("stored", 6, 5)
    assert await client.listed() == [f"/moved/{n}" for n in range(5)]
    for data in SMALL.values():
        assert (await client.download(sha(data))).content == data
    logged = {entry.receipt.sequence for batch in read_log(server) for entry in batch.entries}
    assert logged == set(range(1, 16))


def operations() -> list[dict]:
    puts = [client_put(path, data, gen=1) for path, data in SMALL.items()]
    return [*puts, {"op": "move", "filepath": "/small/9", "source": "/small/4", "gen": 2}]


async def finish_and_compare_batch(server: Server, client: Client) -> None:
    answers = [await client.batch(*operations()) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    first, again = (answer.json()["results"] for answer in answers)
    # what was moved away is gone from its path: putting it there again under the old generation is stale
    assert {result["status"] for result in first} <= {"stored", "stale"}
    assert first[-1] | {"receipt": 0, "source_receipt": 0} == again[-1] | {"receipt": 0, "source_receipt": 0}
    for n in (0, 1, 2, 3, 5):
        a, b = first[n]["receipt"], again[n]["receipt"]
        assert a | {"proof": 0} == b | {"proof": 0}, "a repeat gets the same receipt"
    moved = dict(SMALL)
    moved["/small/9"] = moved.pop("/small/4")
    assert await client.listed() == sorted(moved)
    for data in moved.values():
        assert (await client.download(sha(data))).content == data
    stats = await server.stats()
    assert (stats["blobs"], stats["files"]) == (5, 5)
    assert first[-1]["receipt"]["sequence"] == 7, "no version was recorded twice"
    assert not list((server.data_dir / "quarantine").iterdir())
    logged = {entry.receipt.sequence for batch in read_log(server) for entry in batch.entries}
    assert logged == set(range(1, 8))


def read_log(server: Server) -> list:
    return [batch for batch in ReceiptsLog(str(server.data_dir / "receipts"), Durable()).read() if batch is not None]


async def finish_and_compare(server: Server, client: Client) -> None:
    again = await client.initiate("/a", DATA, gen=1)
    assert again.status_code == 201, again.text
    for first, last in again.json()["missing"]:
        for n in range(first, last + 1):
            chunk = await client.put(again.json()["upload_id"], n, DATA[n * CHUNK : (n + 1) * CHUNK])
            assert chunk.status_code == 200, chunk.text
    done = await client.complete(again.json()["upload_id"])
    assert done.status_code == 200, done.text
    assert (await client.download(sha(DATA))).content == DATA
    assert await client.listed() == ["/a"]
    assert done.json()["receipt"]["sequence"] == 1
    stats = await server.stats()
    assert (stats["blobs"], stats["files"], stats["bytes_stored"]) == (1, 1, len(DATA))
    assert stats["bytes_received"] <= len(DATA) + CHUNK, "more than a chunk was sent again"
    assert not list((server.data_dir / "quarantine").iterdir())
    assert not server.staged()
    assert server.blob(sha(DATA) + ".zst").exists() == (WHAT == "framed")


def forked(work) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(work())
            os._exit(FINISHED)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill(at: int, place: Path, api_key: str) -> Coroutine[None, None, object]:
    """Upload until the *at*-th step."""
    durable = Killing(at, note_of(place))
    return with_client(place, durable, api_key, lambda s, c: upload_until_killed(s, c, durable))


def recover(place: Path, api_key: str) -> Coroutine[None, None, object]:
    """Finish the upload, and compare."""
    works = {"base": finish_and_compare_based, "batch": finish_and_compare_batch, "tree": finish_and_compare_tree}
    return with_client(place, Durable(), api_key, works.get(WHAT, finish_and_compare))


def note_of(place: Path) -> Path:
    return place.with_suffix(".note")


def round_of(at: int, template: Path, place: Path, api_key: str) -> str | None:
    """Kill at the *at*-th step and recover; return the step's name, None where there is no such step any more."""
    shutil.copytree(template, place)
    note = note_of(place)
    ended = forked(lambda: kill(at, place, api_key))
    assert ended in (FINISHED, 9), ended
    assert forked(lambda: recover(place, api_key)) == FINISHED, (
        f"step {at} ({note.read_text() if note.exists() else 'none'})"
    )
    shutil.rmtree(place)
    return note.read_text() if ended == 9 else None


def main(directory: Path) -> None:
    template, first = directory / "template", directory / "first"
    api_key = str(asyncio.run(with_client(template, Durable(), None, prepare)))
    shutil.copytree(template, first)
    asyncio.run(kill(0, first, api_key))
    asyncio.run(recover(first, api_key))
    gc.freeze()
    names: list[str] = []
    while (name := round_of(len(names) + 1, template, directory / f"round-{len(names) + 1}", api_key)) is not None:
        names.append(name)
    print(json.dumps(names))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
