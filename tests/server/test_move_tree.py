"""A whole directory moves: all of it or nothing, exactly as the client thinks it is, with a receipt for each step."""

import asyncio
import base64
import json
from typing import Any

import pytest
import sqlalchemy as sa
from serving import Client, Server, client_put, content, sha

from pp_server.core.model import Scope
from pp_server.durable import Durable
from pp_server.receipts.log import ReceiptsLog
from pp_server.wire.merkle import Tree
from pp_server.wire.receipts import NotProven, Proof, Receipt, ReceiptKey, check, check_leaves
from pp_server.wire.trees import Entry, Leaves, MovedTree, moved_receipts, placed, tree_digest

DATA = {b"a": b"one", b"b/c": b"two", b"b/d": b"two", b"caf\xe9": b"three"}
ENTRIES = sorted(
    [Entry(b"", "dir", None, 0), Entry(b"b", "dir", None, 0), Entry(b"to", "symlink", None, 0)]
    + [Entry(name, "file", sha(data), len(data)) for name, data in DATA.items()]
)


def named(path: bytes, field: str = "filepath") -> dict[str, str]:
    return {field: path.decode("utf-8", "replace"), f"{field}_b64": base64.b64encode(path).decode()}


def puts(folder: bytes, gen: int = 1) -> list[dict[str, Any]]:
    """Everything of ENTRIES, in a folder."""
    made: list[dict[str, Any]] = []
    for entry in ENTRIES:
        where = named(placed(folder, entry.relative))
        if entry.kind == "file":
            made.append(client_put("", DATA[entry.relative], gen, mode=0o640, **where))
        else:
            target = {"link_target": "../x"} if entry.kind == "symlink" else {}
            made.append({"op": "put", "kind": entry.kind, "gen": gen, "mode": 0o750, **where, **target})
    return made


def move(source: bytes, path: bytes, gen: int, entries: list[Entry] = ENTRIES, **more: object) -> dict[str, Any]:
    known = {"count": len(entries), "digest": tree_digest(entries)}
    return {"op": "move_tree", "gen": gen, **known, **named(path), **named(source, "source")} | more


async def applied(client: Client, *operations: dict[str, Any], **head: object) -> list[dict[str, Any]]:
    answer = await client.batch(*operations, **head)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


async def status(client: Client, *operations: dict[str, Any]) -> tuple[str, int | None]:
    result = (await applied(client, *operations))[-1]
    return result["status"], result["gen"]


async def live(client: Client) -> dict[bytes, dict[str, Any]]:
    files = (await client.http.get("/api/files", params={"limit": 1000})).json()["files"]
    return {base64.b64decode(f["filepath_b64"]) if f["filepath_b64"] else f["filepath"].encode(): f for f in files}


async def key_of(client: Client) -> ReceiptKey:
    return ReceiptKey.model_validate((await client.http.get("/api/receipts/key")).json()["keys"][0])


def receipts_of(result: dict[str, Any], like: Receipt, source: bytes, path: bytes, gen: int) -> list[Receipt]:
    """What a client works out from the short answer and what it knows itself."""
    whose = (like.server_id, like.owner, like.host_id)
    moved = MovedTree(*whose, source, path, gen, result["first_sequence"], result["stored_at"])
    return list(moved_receipts(moved, ENTRIES))


async def test_everything_in_it_moves_and_nothing_else(client: Client) -> None:
    beside = [client_put("/old.txt", b"beside"), client_put("/old-er/a", b"beside"), client_put("/old0", b"beside")]
    await applied(client, *puts(b"/old"), *beside)
    [result] = await applied(client, move(b"/old", b"/some where/new", 7, mtime_ns=5, mode=0o700, kind="dir"))
    assert (result["status"], result["count"]) == ("stored", len(ENTRIES))
    files = await live(client)
    assert set(files) == {b"/some where/new/" + name for name in DATA} | {b"/old.txt", b"/old-er/a", b"/old0"}
    for name, data in DATA.items():
        moved = files[b"/some where/new/" + name]
        assert (moved["gen"], moved["sha256"], moved["mode"]) == (7, sha(data), 0o640), "facts and content are kept"
    assert (await client.http.get("/api/hosts/laptop")).json()["highest_gen"] == 7


async def test_the_facts_given_are_those_of_the_directory_itself(client: Client, server: Server) -> None:
    await applied(client, *puts(b"/old"))
    [result] = await applied(client, move(b"/old", b"/new", 7, mtime_ns=5, mode=0o700))
    versions = await server.app.state.services.receipts._metadata.recorded_after(result["first_sequence"] - 1, 100)
    facts = {entry.receipt.filepath: entry.version.facts for entry in versions if entry.receipt.status == "active"}
    assert (facts["/new"].kind, facts["/new"].mode, facts["/new"].mtime_ns) == ("dir", 0o700, 5)
    assert (facts["/new/b"].mode, facts["/new/to"].link_target) == (0o750, b"../x")


async def test_a_directory_that_is_not_recorded_itself_moves_with_what_is_in_it(client: Client) -> None:
    await applied(client, *puts(b"/old")[1:])
    [result] = await applied(client, move(b"/old", b"/new", 7, ENTRIES[1:], mode=0o700))
    assert (result["status"], result["count"]) == ("stored", len(ENTRIES) - 1)
    assert set(await live(client)) == {b"/new/" + name for name in DATA}


@pytest.mark.parametrize("paths", [True, False])
async def test_the_receipts_are_worked_out_and_proven(client: Client, paths: bool) -> None:
    key = await key_of(client)
    await applied(client, *puts(b"/old"))
    operations = [client_put("/x", b"x", 2), move(b"/old", b"/new", 7), client_put("/y", b"y", 8)]
    results = await applied(client, *operations, paths=paths)
    x, y = (Receipt.model_validate(results[n]["receipt"]) for n in (0, 2))
    receipts = receipts_of(results[1], x, b"/old", b"/new", 7)
    assert [each.sequence for each in (x, *receipts, y)] == list(range(8, 8 + 2 * len(ENTRIES) + 2))
    proof = Proof.model_validate(results[1]["proof"])
    leaves = Leaves()
    for each in (x, *receipts, y):
        leaves.add(each)
    tree = check_leaves(leaves.hashes, proof, key)
    assert x.proof is not None
    assert (x.proof.index, proof.index, proof.leaves) == (0, 1, 2 + 2 * len(ENTRIES))
    if paths:
        for receipt in (x, y, receipts[0].model_copy(update={"proof": proof})):
            check(receipt, key)
    last = receipts[-1].model_copy(update={"proof": proof.model_copy(update={"index": len(receipts)})})
    path = [node.hex() for node in tree.path(len(receipts))]
    check(last.model_copy(update={"proof": last.proof.model_copy(update={"path": path})}), key)  # type: ignore[union-attr]
    with pytest.raises(NotProven):
        check_leaves(leaves.hashes[:-1], proof, key)
    with pytest.raises(NotProven):
        check_leaves(leaves.hashes[1:] + leaves.hashes[:1], proof, key)


async def test_each_receipt_can_be_fetched_and_the_log_has_them_all(client: Client, server: Server) -> None:
    key = await key_of(client)
    stored = await applied(client, *puts(b"/old"))
    [result] = await applied(client, move(b"/old", b"/new", 7), paths=False)
    like = Receipt.model_validate(stored[0]["receipt"])
    for receipt in receipts_of(result, like, b"/old", b"/new", 7):
        found = Receipt.model_validate((await client.http.get(f"/api/receipts/{receipt.sequence}")).json())
        check(found, key)
        assert found.model_copy(update={"proof": None}) == receipt
    log = ReceiptsLog(str(server.data_dir / "receipts"), Durable()).read()
    logged = {entry.receipt.sequence for batch in log if batch for entry in batch.entries}
    assert logged == set(range(1, 1 + 3 * len(ENTRIES)))


async def test_a_repeat_gets_the_same_answer_and_changes_nothing(client: Client, server: Server) -> None:
    await applied(client, *puts(b"/old"))
    order = move(b"/old", b"/new", 7, mode=0o700)
    first, again = await applied(client, order), await applied(client, order)
    assert [each | {"proof": 0} for each in first] == [each | {"proof": 0} for each in again]
    assert first[0]["proof"]["leaves"] == again[0]["proof"]["leaves"]
    twice = await applied(client, client_put("/x", b"x", 8), order, order)
    assert twice[1] == twice[2]
    assert twice[1]["proof"]["leaves"] == 1 + 2 * len(ENTRIES), "what is named twice is one leaf"
    assert (await server.stats())["deletions"] == len(ENTRIES)


async def test_sixteen_at_once_move_it_once(client: Client, server: Server) -> None:
    await applied(client, *puts(b"/old"))
    answers = await asyncio.gather(*(applied(client, move(b"/old", b"/new", 7)) for _ in range(16)))
    assert len({result["first_sequence"] for [result] in answers}) == 1
    assert (await server.stats())["files"] == len(DATA)


async def test_to_and_fro(client: Client) -> None:
    """What is left at both places are tombstones, which are in nobody's way."""
    await applied(client, *puts(b"/old"), {"op": "put", "kind": "dir", "filepath": "/new", "gen": 2})
    await applied(client, {"op": "delete", "filepath": "/new", "gen": 3})
    for gen in range(7, 12):
        source, path = (b"/old", b"/new") if gen % 2 else (b"/new", b"/old")
        assert await status(client, move(source, path, gen)) == ("stored", None)
    assert set(await live(client)) == {b"/new/" + name for name in DATA}


async def test_what_is_not_as_the_client_thinks_stays_where_it_is(client: Client) -> None:
    await applied(client, *puts(b"/old"), client_put("/x", b"x", 1))
    other = [entry._replace(sha256=sha(b"other")) if entry.relative == b"a" else entry for entry in ENTRIES]
    for entries in (ENTRIES[:-1], ENTRIES[1:], other, [*ENTRIES, Entry(b"x", "file", sha(b"x"), 1)]):
        assert await status(client, move(b"/old", b"/new", 7, entries)) == ("conflict", None)
    assert await status(client, move(b"/old", b"/new", 7, count=len(ENTRIES) + 1)) == ("conflict", None)
    assert await status(client, move(b"/nowhere", b"/new", 7)) == ("conflict", None)
    for path in (b"/x", b"/new"):
        await applied(client, client_put("/new/there", b"x", 2))
        assert await status(client, move(b"/old", path, 7)) == ("conflict", None), "something is there"
    assert await status(client, move(b"/old", b"/" + b"n" * 4093, 7)) == ("conflict", None), "paths get too long"
    assert set(await live(client)) == {b"/old/" + name for name in DATA} | {b"/x", b"/new/there"}
    assert (await client.http.get("/api/hosts/laptop")).json()["highest_gen"] == 2


@pytest.mark.parametrize("where", ["/old/a", "/old", "/old/gone", "/new", "/new/gone"])
@pytest.mark.parametrize("gen", [7, 8])
async def test_what_is_newer_at_either_place_makes_it_stale(client: Client, where: str, gen: int) -> None:
    await applied(client, *puts(b"/old"), {"op": "put", "kind": "dir", "filepath": where, "gen": gen})
    if where.endswith("gone") or where == "/new":
        await applied(client, {"op": "delete", "filepath": where, "gen": gen + 1})
        gen += 1
    assert await status(client, move(b"/old", b"/new", 7)) == ("stale", gen)


async def test_a_repeat_that_was_overtaken_is_stale(client: Client) -> None:
    await applied(client, *puts(b"/old"), move(b"/old", b"/new", 7))
    await applied(client, client_put("/new/a", b"changed", 8))
    assert await status(client, move(b"/old", b"/new", 7)) == ("stale", 8)


async def test_operations_of_one_batch_see_each_other(client: Client) -> None:
    results = await applied(
        client,
        *puts(b"/old"),
        move(b"/old", b"/new", 7),
        move(b"/new", b"/old", 8),
        {"op": "move", "filepath": "/taken/out", "source": "/old/a", "gen": 9},
        client_put("/last", b"x"),
    )
    assert {result["status"] for result in results} == {"stored"}
    assert set(await live(client)) == {b"/old/" + n for n in DATA if n != b"a"} | {b"/taken/out", b"/last"}
    assert results[-1]["receipt"]["gen"] == 10, "without a generation it is the newest"
    named = [r[k]["sequence"] for r in results for k in ("source_receipt", "receipt") if r[k]]
    firsts = [result["first_sequence"] for result in results if result["first_sequence"]]
    assert firsts == [len(ENTRIES) + 1, 3 * len(ENTRIES) + 1]
    assert named == [*range(1, len(ENTRIES) + 1), *range(5 * len(ENTRIES) + 1, 5 * len(ENTRIES) + 4)]


async def test_an_upload_under_way_below_the_old_place_comes_too_late(client: Client) -> None:
    """As after a deletion: the version is older than the move, and its directory is not there any more."""
    late = content(3000)
    await applied(client, *puts(b"/old"))
    old, new = await client.begin("/old/late", late, gen=6), await client.begin("/old/later", late, gen=8)
    listed = await client.begin("/old/a", late, gen=5)
    assert await status(client, move(b"/old", b"/new", 7)) == ("stored", None)
    for upload_id, code in ((old, 412), (listed, 412), (new, 200)):
        await client.send(upload_id, late)
        assert (await client.complete(upload_id)).status_code == code
    assert set(await live(client)) == {b"/new/" + name for name in DATA} | {b"/old/later"}
    assert await status(client, move(b"/old", b"/new", 7)) == ("stale", 8)


async def test_after_it_an_upload_left_behind_a_repeat_is_still_one(client: Client) -> None:
    await applied(client, *puts(b"/old"))
    await client.begin("/old/late", b"late", gen=6)
    first = await applied(client, move(b"/old", b"/new", 7))
    again = await applied(client, move(b"/old", b"/new", 7))
    assert first[0]["first_sequence"] == again[0]["first_sequence"]


async def test_a_batch_that_is_still_arriving_below_the_old_place_comes_too_late(client: Client) -> None:
    await applied(client, *puts(b"/old"))
    arrived, go_on = asyncio.Event(), asyncio.Event()
    late = client_put("/old/late", b"late", 6)
    line = {"hostname": "laptop", "operations": [{k: v for k, v in late.items() if k != "data"}]}

    async def body():
        yield json.dumps(line).encode() + b"\nla"
        arrived.set()
        await go_on.wait()
        yield b"te"

    sending = asyncio.create_task(client.http.post("/api/batch", content=body()))
    await arrived.wait()
    await asyncio.sleep(0.05)
    assert await status(client, move(b"/old", b"/new", 7)) == ("stored", None)
    go_on.set()
    result = (await sending).json()["results"][0]
    assert (result["status"], result["gen"]) == ("stale", 7)


async def test_of_what_the_server_never_heard_of_only_the_order_about_it_counts(client: Client) -> None:
    """Who waits for an answer about a path below does not move its directory in one step, but has that path deleted."""
    await applied(client, *puts(b"/old"))
    assert await status(client, move(b"/old", b"/new", 7)) == ("stored", None)
    assert await status(client, client_put("/old/late", b"late", 6)) == ("stored", None)
    assert await status(client, {"op": "delete", "filepath": "/old/later", "gen": 8}) == ("not_found", None)
    assert await status(client, client_put("/old/later", b"late", 6)) == ("stale", 8)


async def test_content_that_is_damaged_is_not_promised(client: Client, server: Server) -> None:
    await applied(client, *puts(b"/old"))
    await server.damage(sha(b"two"))
    await client.http.post("/api/files/verify", json={"sha256": [sha(b"two")]})
    assert await status(client, move(b"/old", b"/new", 7)) == ("missing", None)
    await applied(client, client_put("/other", b"two", 2))
    assert await status(client, move(b"/old", b"/new", 7)) == ("stored", None)


async def test_whose_it_is_and_who_may(client: Client, server: Server) -> None:
    await applied(client, *puts(b"/old"))
    eve = await server.client("eve")
    await applied(eve, *puts(b"/old"))
    other_host = await applied(client, *puts(b"/old"), hostname="desktop")
    assert other_host
    assert await status(eve, move(b"/old", b"/new", 7)) == ("stored", None)
    assert set(await live(client)) == {b"/old/" + name for name in DATA}
    uploader = await server.client("bob", (Scope.UPLOAD,))
    [result] = await applied(uploader, move(b"/old", b"/new", 7))
    assert (result["status"], result["code"]) == ("refused", "forbidden")


async def test_too_many_entries_are_refused(client: Client) -> None:
    many = move(b"/old", b"/new", 7, count=60_000)
    results = await applied(client, many, many | {"source": "/x", "source_b64": None})
    assert [(r["status"], r["code"]) for r in results] == [("conflict", None), ("refused", "too_large")]
    version = (await client.http.get("/api/version")).json()
    assert version["limits"]["max_move_tree"] == 100_000
    assert "move_tree" in version["features"]


@pytest.mark.parametrize("change", [named(b"/old"), named(b"/old/x"), named(b"/new/x", "source"), {"count": 0}])
async def test_a_senseless_one_is_refused_with_its_batch(client: Client, change: dict[str, Any]) -> None:
    answer = await client.batch(client_put("/x", b"x", 1), move(b"/old", b"/new", 7) | change)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await live(client) == {}


def test_the_tree_of_leaves_counts_each_version_once() -> None:
    moved = MovedTree("s", "o", "h", b"/a", b"/b", 1, 1, "t")
    leaves = Leaves()
    for receipt in [*moved_receipts(moved, ENTRIES)] * 2:
        leaves.add(receipt)
    assert len(leaves.hashes) == 2 * len(ENTRIES)
    assert Tree(leaves.hashes).root


async def test_the_number_of_statements_is_the_same_for_any_number_of_entries(client: Client, server: Server) -> None:
    engine = server.app.state.admin._metadata._writer._engine
    counts: list[int] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *_: counts.append(1))
    needed = []
    for number in (3, 300):
        entries = sorted(Entry(b"%d" % n, "file", sha(b"x"), 1) for n in range(number))
        await applied(client, *(client_put(f"/{number}/{n}", b"x", 1) for n in range(number)))
        counts.clear()
        assert await status(client, move(b"/%d" % number, b"/new%d" % number, 7 + number, entries)) == ("stored", None)
        needed.append(len(counts))
    assert needed[0] == needed[1] < 40
