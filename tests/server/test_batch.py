"""Batches: many small operations, in order, in one transaction, with one receipt each."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator

import pytest
from serving import Client, Server, client_put, content, sha

from pp_server.core.model import Scope
from pp_server.durable import Durable
from pp_server.receipts.log import ReceiptsLog
from pp_server.wire.receipts import NotProven, Receipt, ReceiptKey, check, check_all


async def applied(client: Client, *operations: dict, **head: object) -> list[dict]:
    answer = await client.batch(*operations, **head)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


async def live(client: Client) -> dict[str, bytes]:
    """The owner's tree, as it can be restored."""
    files = (await client.http.get("/api/files", params={"limit": 1000})).json()["files"]
    return {file["filepath"]: (await client.download(file["sha256"])).content for file in files}


async def test_many_small_files_arrive_and_come_back(client: Client, server: Server) -> None:
    tree = {f"/{n}": content(n * 37, n) for n in range(200)}
    before = await server.stats()
    results = await applied(client, *(client_put(path, data, gen=1) for path, data in tree.items()))
    assert {result["status"] for result in results} == {"stored"}
    assert await live(client) == tree
    stats = await server.stats()
    assert stats["files"] == 200
    assert stats["bytes_received"] == sum(map(len, tree.values()))
    assert stats["fsyncs"] - before["fsyncs"] <= 3 + 4 + 3, "pack, commit, log; their making; the questions themselves"
    assert not list((server.data_dir / "blobs").iterdir())


async def test_every_operation_in_order(client: Client) -> None:
    results = await applied(
        client,
        client_put("/a", b"one", gen=1, mode=0o600, mtime_ns=5),
        {"op": "put", "filepath": "/copy", "gen": 2, "sha256": sha(b"one"), "file_size": 3, "content": "held"},
        {"op": "move", "filepath": "/moved", "source": "/a", "gen": 3},
        {"op": "attributes", "filepath": "/copy", "gen": 4, "mode": 0o644},
        client_put("/gone", b"two", gen=5),
        {"op": "delete", "filepath": "/gone", "gen": 6, "sha256": sha(b"two")},
        {"op": "put", "kind": "dir", "filepath": "/folder", "gen": 7, "mode": 0o755},
        {"op": "put", "kind": "symlink", "filepath": "/link", "gen": 8, "link_target": "../elsewhere"},
        {"op": "delete", "filepath": "/never", "gen": 9},
        {"op": "put", "filepath": "/none", "gen": 10, "sha256": sha(b"unknown"), "file_size": 7, "content": "held"},
        {"op": "move", "filepath": "/x", "source": "/never", "gen": 11},
        {"op": "attributes", "filepath": "/gone", "gen": 12, "mode": 1},
    )
    assert [result["status"] for result in results] == [
        *("stored", "stored", "stored", "stored", "stored", "deleted", "stored", "stored"),
        *("not_found", "missing", "not_found", "not_found"),
    ]
    assert await live(client) == {"/copy": b"one", "/moved": b"one"}
    files = {file["filepath"]: file for file in (await client.http.get("/api/files")).json()["files"]}
    assert (files["/copy"]["mode"], files["/copy"]["gen"]) == (0o644, 4)
    assert (files["/moved"]["mode"], files["/moved"]["mtime_ns"]) == (0o600, 5), "facts move along"
    moved, tombstone = results[2]["receipt"], results[2]["source_receipt"]
    assert (moved["filepath"], moved["status"], tombstone["filepath"], tombstone["status"]) == (
        *("/moved", "active"),
        *("/a", "deleted"),
    )
    assert [results[n]["receipt"]["kind"] for n in (6, 7)] == ["dir", "symlink"]
    sequences = [result["receipt"]["sequence"] for result in results if result["receipt"]]
    assert sequences == sorted(sequences)


async def test_directories_and_links_are_listed_where_they_are_asked_for(client: Client) -> None:
    target = base64.b64encode(b"caf\xe9").decode()
    await applied(
        client,
        client_put("/d/f", b"one", gen=1),
        {"op": "put", "kind": "dir", "filepath": "/d", "gen": 2, "mode": 0o700},
        {"op": "put", "kind": "symlink", "filepath": "/l", "gen": 3, "link_target": "?", "link_target_b64": target},
    )

    async def listed(**params: str) -> dict[str, tuple[str, str | None]]:
        answer = (await client.http.get("/api/files", params=params)).json()
        assert answer["total"] == len(answer["files"])
        return {file["filepath"]: (file["kind"], file["link_target_b64"]) for file in answer["files"]}

    files, links = {"/d/f": ("file", None)}, {"/l": ("symlink", target)}
    assert await listed() == await listed(kind="file") == files
    assert await listed(kind="symlink") == links
    assert await listed(kind="dir") == {"/d": ("dir", None)}
    assert await listed(kind="any") == files | links | {"/d": ("dir", None)}
    assert (await client.http.get("/api/files", params={"kind": "fifo"})).status_code == 422


async def test_a_repeated_batch_changes_nothing_and_gets_the_same_receipts(client: Client, server: Server) -> None:
    operations = [client_put(f"/{n}", content(100, n), gen=n + 1) for n in range(20)]
    operations += [
        {"op": "delete", "filepath": "/3", "gen": 100},
        {"op": "move", "filepath": "/new", "source": "/4", "gen": 101},
        {"op": "attributes", "filepath": "/5", "gen": 102, "mode": 0o600},
        {"op": "put", "kind": "dir", "filepath": "/d", "gen": 103},
    ]
    first = await applied(client, *operations)
    tree = await live(client)
    again = await applied(client, *operations)
    for n, (a, b) in enumerate(zip(first, again, strict=True)):
        if n in (3, 4, 5):  # overtaken by later operations of the batch itself
            assert b["status"] == "stale"
            continue
        assert b["status"] == a["status"]
        assert b["receipt"] | {"proof": 0} == a["receipt"] | {"proof": 0}
    assert await live(client) == tree
    assert (await server.stats())["files"] == 19


async def test_the_same_batch_sixteen_times_at_once(client: Client, server: Server) -> None:
    operations = [client_put(f"/{n}", content(100, n), gen=1) for n in range(10)]
    answers = await asyncio.gather(*(applied(client, *operations) for _ in range(16)))
    sequences = {tuple(result["receipt"]["sequence"] for result in results) for results in answers}
    assert len(sequences) == 1
    stats = await server.stats()
    assert (stats["files"], stats["blobs"]) == (10, 10)


async def test_late_operations_change_nothing_and_say_so(client: Client) -> None:
    await applied(client, client_put("/a", b"new", gen=7), client_put("/b", b"b", gen=7))
    late = [
        client_put("/a", b"old", gen=6),
        client_put("/a", b"other", gen=7),
        {"op": "delete", "filepath": "/a", "gen": 6},
        {"op": "delete", "filepath": "/a", "gen": 7},
        {"op": "attributes", "filepath": "/a", "gen": 6, "mode": 1},
        {"op": "move", "filepath": "/c", "source": "/a", "gen": 7},
        {"op": "move", "filepath": "/a", "source": "/b", "gen": 7},
    ]
    results = await applied(client, *late)
    assert {(result["status"], result["gen"]) for result in results} == {("stale", 7)}
    assert await live(client) == {"/a": b"new", "/b": b"b"}


async def test_one_damaged_content_does_not_touch_its_neighbours(client: Client) -> None:
    damaged = client_put("/b", b"bbb", gen=1) | {"data": b"BBB"}
    results = await applied(client, client_put("/a", b"a", gen=1), damaged, client_put("/c", b"c", gen=1))
    assert [result["status"] for result in results] == ["stored", "refused", "stored"]
    assert results[1]["code"] == "sha256_mismatch"
    assert await live(client) == {"/a": b"a", "/c": b"c"}


@pytest.mark.parametrize("change", [b"", b"more"])
async def test_a_body_of_another_length_changes_nothing(client: Client, change: bytes) -> None:
    line = {"operations": [{k: v for k, v in client_put("/a", b"data", gen=1).items() if k != "data"}]}
    body = json.dumps(line).encode() + b"\n" + (b"dat" if not change else b"data" + change)
    answer = await client.http.post("/api/batch", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_wrong_length")
    assert await client.listed() == []


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "put", "filepath": "/a"},
        {"op": "put", "filepath": "/a", "sha256": "0" * 64, "file_size": 1},
        {"op": "put", "filepath": "/a", "sha256": "0" * 63, "file_size": 1, "content": "held"},
        {"op": "put", "filepath": "/a", "kind": "dir", "file_size": 1},
        {"op": "put", "filepath": "/a", "kind": "dir", "content": "inline"},
        {"op": "put", "filepath": "/a", "kind": "symlink"},
        {"op": "put", "filepath": "/a", "kind": "symlink", "link_target": "a\0b"},
        {"op": "put", "filepath": "/a", "kind": "fifo"},
        {"op": "put", "filepath": "", "kind": "dir"},
        {"op": "put", "filepath": "/a", "sha256": "0" * 64, "file_size": 262145, "content": "inline"},
        {"op": "delete", "filepath": "/a"},
        {"op": "delete", "filepath": "/a", "gen": -1},
        {"op": "move", "filepath": "/a", "gen": 1},
        {"op": "move", "filepath": "/a", "source": "/a", "gen": 1},
        {"op": "rename", "filepath": "/a"},
        {"filepath": "/a"},
        "put",
        None,
    ],
)
async def test_a_batch_with_a_senseless_operation_is_refused_whole(client: Client, operation: object) -> None:
    line = {"operations": [{"op": "put", "filepath": "/ok", "kind": "dir", "gen": 1}, operation]}
    answer = await client.http.post("/api/batch", content=json.dumps(line).encode() + b"\n")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert (await client.http.get("/api/hosts/")).status_code == 404


@pytest.mark.parametrize("body", [b"", b"\n", b"{}\n", b'{"operations": []}\n', b"[1]\n", b"\xff\n", b"{" * 10_000])
async def test_what_is_no_batch_is_refused(client: Client, body: bytes) -> None:
    assert (await client.http.post("/api/batch", content=body)).status_code == 422


async def test_too_many_operations_and_too_much_content_are_refused(client: Client) -> None:
    many = [{"op": "put", "kind": "dir", "filepath": f"/{n}", "gen": 1} for n in range(4097)]
    assert (await client.batch(*many)).status_code == 422
    assert {result["status"] for result in await applied(client, *many[:4096])} == {"stored"}
    big = [client_put(f"/big/{n}", bytes([n]) * 262_144, gen=1) for n in range(65)]
    answer = await client.batch(*big)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert {result["status"] for result in await applied(client, *big[:64])} == {"stored"}


async def test_names_that_are_no_text(client: Client) -> None:
    name, target = b"/caf\xe9", b"\xff/target"
    put = client_put("/caf?", b"x", gen=1, filepath_b64=base64.b64encode(name).decode())
    link = {"op": "put", "kind": "symlink", "filepath": "/l", "gen": 1, "link_target": "?"}
    results = await applied(client, put, link | {"link_target_b64": base64.b64encode(target).decode()})
    assert base64.b64decode(results[0]["receipt"]["filepath_b64"]) == name
    [file] = (await client.http.get("/api/files")).json()["files"]
    assert base64.b64decode(file["filepath_b64"]) == name


async def test_content_of_others_is_missing_even_by_its_hash(client: Client, server: Server) -> None:
    alice = await server.client("alice")
    await applied(alice, client_put("/secret", b"secret", gen=1))
    held = {"op": "put", "filepath": "/mine", "gen": 1, "sha256": sha(b"secret"), "file_size": 6, "content": "held"}
    unknown = held | {"filepath": "/other", "sha256": sha(b"nobody"), "file_size": 6}
    first, second = await applied(client, held, unknown)
    assert first == second | {"status": "missing"}
    asked = {"sha256": [sha(b"secret"), sha(b"nobody")]}
    assert (await client.http.post("/api/files/held", json=asked)).json() == {"held": []}
    assert (await alice.http.post("/api/files/held", json=asked)).json() == {"held": [sha(b"secret")]}
    await applied(client, client_put("/mine", b"secret", gen=1))
    assert (await server.stats())["blobs"] == 1, "the bytes are kept once"


async def test_a_key_may_do_what_its_scopes_and_host_say(server: Server) -> None:
    uploader = await server.client("carol", (Scope.UPLOAD,))
    results = await applied(
        uploader,
        client_put("/a", b"a", gen=1),
        {"op": "delete", "filepath": "/a", "gen": 2},
        {"op": "move", "filepath": "/b", "source": "/a", "gen": 2},
    )
    assert [(result["status"], result["code"]) for result in results] == [
        ("stored", None),
        ("refused", "forbidden"),
        ("refused", "forbidden"),
    ]
    bound = await server.client("carol", host="one")
    assert (await bound.batch(client_put("/a", b"x", gen=9))).json()["code"] == "forbidden"
    assert (await bound.batch(client_put("/a", b"x", gen=9), host_id="one")).status_code == 200
    reader = await server.client("carol", (Scope.READ,))
    assert (await reader.batch(client_put("/a", b"x", gen=10))).status_code == 403


async def test_a_damaged_blob_is_not_built_upon(client: Client, server: Server) -> None:
    await applied(client, client_put("/a", b"precious", gen=1))
    await server.damage(sha(b"precious"))
    other = await server.client("alice")
    [result] = await applied(other, client_put("/b", b"precious", gen=1))
    assert result["status"] == "stored"
    for each in (client, other):
        assert (await each.download(sha(b"precious"))).content == b"precious"


async def test_every_receipt_can_be_checked_alone(client: Client, server: Server) -> None:
    key = ReceiptKey.model_validate((await client.http.get("/api/receipts/key")).json()["keys"][0])
    results = await applied(client, *(client_put(f"/{n}", content(10, n), gen=1) for n in range(7)))
    receipts = [Receipt.model_validate(result["receipt"]) for result in results]
    for receipt in receipts:
        check(receipt, key)
        for change in ({"gen": 2}, {"sha256": "0" * 64}, {"owner": "eve"}, {"filepath": "/x"}, {"status": "deleted"}):
            with pytest.raises(NotProven):
                check(receipt.model_copy(update=change), key)
    bare = await applied(client, *(client_put(f"/{n}", content(10, n), gen=1) for n in range(7)), paths=False)
    unproven = [Receipt.model_validate(result["receipt"]) for result in bare]
    assert all(receipt.proof and not receipt.proof.path for receipt in unproven)
    assert check_all(unproven, key).path(3) == [bytes.fromhex(node) for node in receipts[3].proof.path]  # type: ignore[union-attr]
    again = Receipt.model_validate((await client.http.get(f"/api/receipts/{receipts[2].sequence}")).json())
    check(again, key)
    assert again.model_copy(update={"proof": None}) == receipts[2].model_copy(update={"proof": None})
    eve = await server.client("eve")
    assert (await eve.http.get(f"/api/receipts/{receipts[2].sequence}")).status_code == 404
    one = Receipt.model_validate(await client.upload("/chunked", content(5000)))
    check(one, key)


async def test_the_key_stays_and_the_log_has_everything(running) -> None:
    async with running() as server:
        client = await server.client()
        key = (await client.http.get("/api/receipts/key")).json()
        await applied(client, client_put("/a", b"a", gen=1), client_put("/b", b"b", gen=2))
        await client.upload("/c", b"c", gen=3)
        await client.http.post(
            "/api/files/deletions",
            json={"files": [{"filepath": "/a", "hostname": "laptop", "sha256": sha(b"a"), "gen": 4}]},
        )
        log = str(server.data_dir / "receipts")
    async with running() as server:
        client = await server.client()
        assert (await client.http.get("/api/receipts/key")).json() == key
        await applied(client, client_put("/d", b"d", gen=5))
    entries = [entry for batch in ReceiptsLog(log, Durable()).read() if batch for entry in batch.entries]
    told = [(e.receipt.sequence, e.receipt.filepath, e.receipt.status) for e in entries]
    assert told == [
        (1, "/a", "active"),
        (2, "/b", "active"),
        (3, "/c", "active"),
        (4, "/a", "deleted"),
        (5, "/d", "active"),
    ]


async def test_verifying_reads_the_bytes_again(client: Client, server: Server) -> None:
    await applied(client, *(client_put(f"/{n}", content(100, n), gen=1) for n in range(3)))
    await server.damage(sha(content(100, 1)), 50)
    asked = [sha(content(100, n)) for n in range(4)]
    nonce = random.Random(1).randbytes(16)
    answer = await client.http.post("/api/files/verify", json={"sha256": asked, "nonce": nonce.hex()})
    results = answer.json()["results"]
    assert [result["status"] for result in results] == ["intact", "damaged", "intact", "not_found"]
    assert results[0]["proof"] == sha(nonce + content(100, 0))
    assert results[1]["proof"] is None
    held = (await client.http.post("/api/files/held", json={"sha256": asked})).json()["held"]
    assert held == [asked[0], asked[2]], "what is damaged is asked for again"
    eve = await server.client("eve")
    foreign = (await eve.http.post("/api/files/verify", json={"sha256": asked[:1]})).json()["results"]
    assert [result["status"] for result in foreign] == ["not_found"]


async def test_the_line_counts_for_the_memory_of_the_server_while_it_comes(server: Server, client: Client) -> None:
    budget = server.app.state.services.budget
    held = []

    async def body() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b" " * (1 << 20)
            held.append(budget.used_bytes)
        yield b"{}\n"

    assert (await client.http.post("/api/batch", content=body())).status_code == 422
    assert held == sorted(held)
    assert held[-1] >= 3 << 20
    assert budget.used_bytes == 0
