"""Getting much back at once: the tree below a path, and many small contents in one answer."""

import json
from pathlib import Path
from typing import Any

import pytest
from serving import Client, Server, client_put, content, sha

from pp_server import restore
from pp_server.content.base import SMALL_BYTES
from pp_server.content.reading import read_together
from pp_server.core.extents import Blob, whole_file
from pp_server.metadata import sql_listings


async def tree(client: Client, **params: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    answer = await client.http.get("/api/tree", params=params)
    assert answer.status_code == 200, answer.text
    *entries, end = [json.loads(line) for line in answer.text.splitlines()]
    return entries, end


async def contents(client: Client, *digests: str) -> dict[str, bytes | None]:
    """Digest → content, or None; checks that the stream is whole."""
    answer = await client.http.post("/api/contents", json={"sha256": list(digests)})
    assert answer.status_code == 200, answer.text
    rest, found = answer.content, {}
    while True:
        line, _, rest = rest.partition(b"\n")
        head = json.loads(line)
        if "contents" in head:
            assert head["contents"] == len(found) == len(set(digests))
            assert rest == b""
            return found
        size = head["size"]
        found[head["sha256"]] = None if size is None else rest[:size]
        rest = rest[size or 0 :]


async def test_the_tree_has_all_that_is_needed_to_make_it_again(client: Client) -> None:
    facts = {"mtime_ns": 5, "mode": 0o640, "uid": 7, "gid": 8, "user": "me", "group": "us"}
    await client.batch(
        client_put("/d/a", b"one", 1, **facts),
        {"op": "put", "kind": "dir", "filepath": "/d", "gen": 2, "mode": 0o700},
        {"op": "put", "kind": "symlink", "filepath": "/d/link", "gen": 3, "link_target": "a"},
        {**client_put("/d/\ufffd", b"odd", 4), "filepath_b64": "L2Qv6Q=="},
        client_put("/dd", b"beside", 5),
        client_put("/d/gone", b"gone", 6),
        {"op": "delete", "filepath": "/d/gone", "gen": 7},
        host_id="h1",
    )
    entries, end = await tree(client, path_prefix="/d", host_id="h1")
    assert end == {"entries": 4}
    assert [(entry["filepath"], entry["kind"]) for entry in entries] == [
        ("/d", "dir"),
        ("/d/a", "file"),
        ("/d/link", "symlink"),
        ("/d/\ufffd", "file"),
    ]
    file = entries[1]
    assert {name: file[name] for name in facts} == facts
    assert (file["sha256"], file["file_size"], file["gen"], file["host_id"]) == (sha(b"one"), 3, 1, "h1")
    assert entries[2]["link_target"] == "a"
    assert entries[3]["filepath_b64"] == "L2Qv6Q=="


async def test_large_trees_come_page_by_page_and_whole(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "PAGE", 3)
    for count in (3, 4, 7):
        await client.batch(*(client_put(f"/t/{n}", b"%d" % n, 100 * count + n) for n in range(count)), host_id="h1")
        entries, end = await tree(client, path_prefix="/t")
        assert [entry["filepath"] for entry in entries] == [f"/t/{n}" for n in range(count)]
        assert end == {"entries": count}


@pytest.mark.parametrize("looked_at", [1, 3, 20_000])
async def test_what_was_there_earlier_is_listed_too(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    """All versions, those of a moment, and what is deleted: each with all that is needed to make it again."""
    monkeypatch.setattr(restore, "PAGE", 2)
    monkeypatch.setattr(sql_listings, "LOOKED_AT", looked_at)
    moments: list[str] = []

    async def then(*operations: dict[str, Any]) -> None:
        await client.batch(*operations, host_id="h1")
        entries, _ = await tree(client, show="all")
        moments.append(max(each["deleted_at"] or each["stored_at"] for each in entries))
        server.clock.pass_seconds(0.005)

    await then(client_put("/d/a", b"one", 1, mode=0o640), client_put("/d/b", b"b", 2))
    await then(client_put("/d/a", b"two!", 3))
    await then({"op": "delete", "filepath": "/d/a", "gen": 4}, {"op": "delete", "filepath": "/d/never", "gen": 5})
    await then(client_put("/d/a", b"three", 6), {"op": "delete", "filepath": "/d/b", "gen": 7})

    entries, end = await tree(client, show="all", path_prefix="/d/a")
    assert [(each["gen"], each["status"], each["file_size"]) for each in entries] == [
        (1, "superseded", 3),
        (3, "superseded", 4),
        (4, "deleted", 4),
        (6, "active", 5),
    ]
    assert end == {"entries": 4}
    assert entries[0]["mode"] == 0o640
    assert entries[2]["deleted_at"] == moments[2]
    assert entries[2]["sha256"] == sha(b"two!")

    found = [{each["filepath"]: each["file_size"] for each in (await tree(client, at=at))[0]} for at in moments]
    assert found == [{"/d/a": 3, "/d/b": 1}, {"/d/a": 4, "/d/b": 1}, {"/d/b": 1}, {"/d/a": 5}]
    assert await tree(client, at="2001-01-01T00:00:00Z") == ([], {"entries": 0})
    gone, end = await tree(client, show="deleted")
    assert [(each["filepath"], each["status"], each["sha256"]) for each in gone] == [("/d/b", "deleted", sha(b"b"))]
    assert await contents(client, gone[0]["sha256"]) == {sha(b"b"): b"b"}
    assert await tree(client, show="all", host_id="h2") == ([], {"entries": 0})
    for asked in ({"at": "yesterday"}, {"at": "2026-11-20"}, {"show": "x"}, {"at": moments[0], "show": "deleted"}):
        assert (await client.http.get("/api/tree", params=asked)).status_code == 422, asked


@pytest.mark.parametrize("asked", [{}, {"show": "all"}, {"at": "2100-01-01T00:00:00Z"}])
async def test_the_trees_of_several_hosts_come_one_after_the_other(
    client: Client, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str]
) -> None:
    monkeypatch.setattr(restore, "PAGE", 3)
    for host in ("h1", "h2", "h3"):
        await client.batch(*(client_put(f"/t/{n}", b"%d" % n, n + 1) for n in range(6)), host_id=host)
    entries, end = await tree(client, path_prefix="/t", **asked)
    assert [(each["host_id"], each["filepath"]) for each in entries] == [
        (host, f"/t/{n}") for host in ("h1", "h2", "h3") for n in range(6)
    ]
    assert end == {"entries": 18}


async def test_nobody_sees_the_tree_or_the_contents_of_others(client: Client, server: Server) -> None:
    await client.upload("/mine", b"mine")
    other = await server.client("eve")
    assert await tree(other) == ([], {"entries": 0})
    assert await tree(other, show="all") == ([], {"entries": 0})
    assert await tree(other, at="2100-01-01T00:00:00Z") == ([], {"entries": 0})
    assert await contents(other, sha(b"mine")) == {sha(b"mine"): None}


async def test_many_contents_come_in_one_answer(client: Client, server: Server) -> None:
    """Whatever their sizes, from several packs and batches, and each only once."""
    wanted = {sha(data): data for data in (content(size, size) for size in (0, 1, 1000, 70_000, SMALL_BYTES))}
    for n, data in enumerate(wanted.values()):
        await client.batch(client_put(f"/{n}", data, n + 1), client_put(f"/again/{n}", data, n + 10), host_id="h1")
    large, unknown = content(SMALL_BYTES + 1, 9), sha(b"unknown")
    await client.upload("/large", large)
    found = await contents(client, *wanted, unknown, sha(large), *wanted)
    assert found == {**wanted, unknown: None, sha(large): None}


async def test_a_damaged_content_is_named_and_put_aside_and_the_others_come(client: Client, server: Server) -> None:
    good, bad = content(1000, 1), content(1000, 2)
    await client.batch(client_put("/good", good, 1), client_put("/bad", bad, 2), host_id="h1")
    await server.damage(sha(bad), at=500)
    assert await contents(client, sha(good), sha(bad)) == {sha(good): good, sha(bad): None}
    assert not await server.holds(sha(bad))
    assert await server.holds(sha(good))


def test_a_place_that_cannot_be_read_says_nothing_about_the_others(tmp_path: Path) -> None:
    """A bad sector must not keep back all that is asked for together with what lies on it."""
    good, bad = (Blob(sha(data), len(data), whole_file(sha(data), len(data))) for data in (b"good", b"bad"))
    (tmp_path / good.sha256).write_bytes(b"good")
    (tmp_path / bad.sha256).mkdir()  # it can be opened, and not be read
    found = read_together([bad, good], lambda extent: str(tmp_path / extent.name))
    assert dict(each for some in found for each in some) == {good: b"good", bad: None}


async def test_what_cannot_be_asked_is_refused(client: Client) -> None:
    for body in ({"sha256": []}, {"sha256": ["x"]}, {}, {"sha256": [sha(b"")] * 4097}):
        answer = await client.http.post("/api/contents", json=body)
        assert answer.status_code == 422, body
