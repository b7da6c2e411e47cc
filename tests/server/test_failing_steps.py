"""The k-th thing asked of the disk fails, for every k: what was acknowledged is there, the rest can be repeated.

`test_damage` has one kind of operation fail; here it is one place in the order of things, or everything from there on.
"""

import errno
import itertools
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
from serving import CHUNK, Client, content, sha

from pp_server.core.errors import SyncFailed
from pp_server.durable import Durable, as_storage_error

FULL = (errno.ENOSPC, errno.EDQUOT)
MOST_OPERATIONS = 200


class FailsAt(Durable):
    """Fails at the *at*-th operation once armed, before it happens or after; *lasting*: and at all that follow."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0
        self.count = 0
        self.error = errno.EIO
        self.after = False
        self.lasting = False
        self.failed: list[str] = []
        self.reached = False

    def arm(self, at: int, error: int, after: bool, lasting: bool) -> None:
        self.at, self.error, self.after, self.lasting = at, error, after, lasting
        self.count, self.failed = 0, []

    def heal(self) -> None:
        self.reached = self.count >= self.at
        self.at = 0

    @contextmanager
    def _operation(self, name: str) -> Iterator[None]:
        self.count += 1
        fails = self.at and (self.count >= self.at if self.lasting else self.count == self.at)
        if fails and not self.after:
            self._fail(name)
        with super()._operation(name):
            yield
        if fails:
            self._fail(name)

    def _fail(self, name: str) -> None:
        self.failed.append(name)
        failure = OSError(self.error, "injected")
        if "sync" in name and name != "sync_dir":
            raise SyncFailed("injected") from failure
        if name == "commit":  # as the engine words it
            full = self.error == errno.ENOSPC
            raise sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")
        raise as_storage_error(failure)


@dataclass
class Version:
    """What one round uploads and then deletes."""

    path: str
    data: bytes
    chunk: int = CHUNK

    @property
    def digest(self) -> str:
        return sha(self.data)


async def upload(client: Client, version: Version) -> list[httpx.Response]:
    """Go on as far as it goes; return all answers."""
    answers = [await client.initiate(version.path, version.data, gen=1, chunk_size=version.chunk)]
    if answers[0].status_code != 201:
        return answers
    upload_id = answers[0].json()["upload_id"]
    for first, last in answers[0].json()["missing"]:
        chunks = [(n, version.data[n * version.chunk :][: version.chunk]) for n in range(first, last + 1)]
        answers += [await client.put(upload_id, n, data) for n, data in chunks]
    answers.append(await client.complete(upload_id))
    return answers


async def delete(client: Client, version: Version) -> httpx.Response:
    order = {"filepath": version.path, "hostname": client.host, "sha256": version.digest, "gen": 2}
    return await client.http.post("/api/files/deletions", json={"files": [order]})


async def is_stored(client: Client, version: Version) -> bool:
    return (
        version.path in await client.listed(limit=1000)
        and (await client.download(version.digest)).content == version.data
    )


def check_refusals(answers: list[httpx.Response], durable: FailsAt) -> None:
    """Every refusal is one of the disk, or names what is missing because of it; none is a defect."""
    full = durable.error in FULL
    allowed = {(503, "storage_failed"), (400, "not_all_chunks_uploaded")} | ({(507, "storage_full")} if full else set())
    refused = {(a.status_code, a.json()["code"]) for a in answers if not a.is_success}
    assert refused <= allowed, (refused, durable.failed)
    if durable.failed and full and not any("sync" in name or name == "commit" for name in durable.failed):
        assert not refused or (507, "storage_full") in refused, (refused, durable.failed)


async def one_round(client: Client, durable: FailsAt, version: Version) -> None:
    answers = await upload(client, version)
    acknowledged = answers[-1].status_code == 200 and "receipt" in answers[-1].json()
    deleted = await delete(client, version) if acknowledged else None
    durable.heal()
    check_refusals([*answers, *([] if deleted is None else [deleted])], durable)
    if acknowledged and (deleted is None or not deleted.is_success):
        assert (await client.download(version.digest)).content == version.data
    if deleted is not None and deleted.is_success:
        assert version.path not in await client.listed(limit=1000)
    if not acknowledged:
        again = await upload(client, version)
        if again[-1].status_code == 400:  # what the disk did to the chunks was found only now
            again = await upload(client, version)
        assert again[-1].status_code == 200, [(a.status_code, a.text) for a in again]
        assert await is_stored(client, version)
    assert (await delete(client, version)).json()["deleted"] == 1
    assert version.path not in await client.listed(limit=1000)
    assert (await client.download(version.digest)).content == version.data, "a deletion keeps the content"


SMALL, LARGE = 2 * CHUNK + 100, 300 * 1024
"""Kept with others in one file, and in a file of its own."""


CASES = [
    pytest.param(errno.EIO, False, False, id="EIO once"),
    pytest.param(errno.EIO, False, True, id="done, and then EIO"),
    pytest.param(errno.EIO, True, False, id="EIO from then on"),
    pytest.param(errno.ENOSPC, False, False, id="ENOSPC once"),
    pytest.param(errno.ENOSPC, True, False, id="ENOSPC from then on"),
    pytest.param(errno.EDQUOT, False, False, id="EDQUOT once"),
]


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(("error", "lasting", "after"), CASES)
async def test_whatever_fails_nothing_acknowledged_is_missing(
    running, error: int, lasting: bool, after: bool, size: int
) -> None:
    durable = FailsAt()
    met: set[str] = set()
    async with running(durable) as server:
        client = await server.client()
        for at in itertools.count(1):
            assert at < MOST_OPERATIONS
            durable.arm(at, error, after, lasting)
            await one_round(client, durable, Version(f"/{at}", content(size, at), max(CHUNK, -(-size // 3))))
            if not durable.reached:
                break
            met.update(durable.failed[:1])
        await server.app.state.services.uploads.clean()  # what could not be removed when it was time
        assert server.staged() == []
        assert not list((server.data_dir / "quarantine").iterdir())
    assert {"write", "commit", "unlink"} | ({"sync", "link", "sync_dir"} if size == LARGE else {"datasync"}) <= met


@pytest.mark.parametrize(("error", "lasting", "after"), CASES)
async def test_a_batch_that_fails_anywhere_happened_wholly_or_not_at_all(
    running, error: int, lasting: bool, after: bool
) -> None:
    """And sent again it is acknowledged."""
    durable = FailsAt()
    async with running(durable) as server:
        client = await server.client()
        for at in itertools.count(1):
            assert at < MOST_OPERATIONS
            versions = [Version(f"/{at}/{n}", content(500 + n, 10 * at + n)) for n in range(4)]
            durable.arm(at, error, after, lasting)
            answer = await batch(client, versions)
            durable.heal()
            check_refusals([answer], durable)
            listed = [path for path in await client.listed(limit=1000) if path.startswith(f"/{at}/")]
            assert len(listed) in (0, len(versions))
            assert listed or not answer.is_success
            again = await batch(client, versions)
            assert {result["status"] for result in again.json()["results"]} == {"stored"}
            assert [await is_stored(client, version) for version in versions] == [True] * len(versions)
            if not durable.reached:
                break
        assert at > 5, "several things are asked of the disk"
        assert not list((server.data_dir / "quarantine").iterdir())


async def batch(client: Client, versions: list[Version]) -> httpx.Response:
    puts = [
        {"op": "put", "filepath": v.path, "gen": 1, "sha256": v.digest, "file_size": len(v.data), "content": "inline"}
        for v in versions
    ]
    head = json.dumps({"hostname": client.host, "operations": puts}).encode()
    return await client.http.post("/api/batch", content=head + b"\n" + b"".join(v.data for v in versions))
