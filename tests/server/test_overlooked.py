"""Versions whose recording was reported as failed and had happened: no receipt for them before they are in the log."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from serving import Server, client_put, sha

from pp_server.core.errors import StorageFailed
from pp_server.durable import Durable
from pp_server.receipts.log import ReceiptsLog
from pp_server.wire.trees import Entry, tree_digest

Running = Callable[..., AbstractAsyncContextManager[Server]]


class Misreporting(Durable):
    """One commit, or the removal of one staged file, fails after what matters has happened."""

    commit_fails = False
    unlink_fails = False

    def commit(self, commit: Callable[[], None]) -> None:
        super().commit(commit)
        if self.commit_fails:
            self.commit_fails = False
            raise sqlite3.OperationalError("disk I/O error")

    def unlink(self, path: str) -> None:
        if self.unlink_fails and path.endswith(".part"):
            self.unlink_fails = False
            raise StorageFailed("injected")
        super().unlink(path)


def logged(server: Server) -> list[int]:
    log = ReceiptsLog(str(server.data_dir / "receipts"), Durable())
    return sorted({entry.receipt.sequence for batch in log.read() if batch for entry in batch.entries})


@pytest.mark.parametrize("what", ["batch", "tree", "deletion", "commit of an upload", "end of an upload"])
async def test_what_is_acknowledged_at_the_second_try_is_in_the_log(running: Running, what: str) -> None:
    durable = Misreporting()
    async with running(durable) as server:
        client = await server.client()
        assert (await client.batch(client_put("/first", b"first", gen=1))).status_code == 200
        upload_id = await client.begin("/up", b"upload", gen=1)
        await client.send(upload_id, b"upload")

        async def attempt() -> int:
            if what == "batch":
                return (await client.batch(client_put("/a", b"a", gen=2))).status_code
            if what == "tree":
                known = {"count": 1, "digest": tree_digest([Entry(b"", "file", sha(b"first"), 5)])}
                order = {"op": "move_tree", "source": "/first", "filepath": "/a", "gen": 2, **known}
                return (await client.batch(order)).status_code
            if what == "deletion":
                order = {"filepath": "/first", "hostname": "laptop", "sha256": "0" * 64, "gen": 2}
                return (await client.http.post("/api/files/deletions", json={"files": [order]})).status_code
            return (await client.complete(upload_id)).status_code

        durable.unlink_fails = what == "end of an upload"
        durable.commit_fails = not durable.unlink_fails
        assert await attempt() == 503
        assert await attempt() == 200
        assert logged(server) == ([1, 2, 3] if what == "tree" else [1, 2])


async def test_one_that_nobody_asks_for_again_does_not_hold_up_the_others(running: Running) -> None:
    durable = Misreporting()
    async with running(durable) as server:
        client = await server.client()
        durable.commit_fails = True
        assert (await client.batch(client_put("/a", b"a", gen=1))).status_code == 503
        many = [{"op": "put", "kind": "dir", "filepath": f"/{n}", "gen": 2} for n in range(1001)]
        assert (await client.batch(*many)).status_code == 200
        assert (await client.batch(client_put("/b", b"b", gen=3))).status_code == 200
        assert logged(server) == list(range(1, 1004))
        issuer = server.app.state.services.receipts
        assert issuer._through == 1003
        assert not issuer._beyond
        assert not issuer._pending
