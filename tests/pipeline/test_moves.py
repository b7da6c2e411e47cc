"""A directory that is renamed is moved on the server in one step: nothing is hashed, sent or lost for it."""

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pair import Pair, running_pair, write
from test_announcements import serve_anew
from test_watching import heard, watching_pair

from pp_assist import disk
from pp_assist.core.model import Stage, WorkState
from pp_assist.store import reconciling, tree_moves
from pp_assist.store.held import HeldDeletions
from pp_assist.store.report import Report
from pp_server.wire.receipts import check
from pp_server.wire.version import FEATURES

FILES = 40


async def filled(pair: Pair, count: int = FILES) -> None:
    for n in range(count):
        write(pair.tree / "a" / f"{n % 3}" / f"{n}", f"content {n}")
    (pair.tree / "a" / "empty").mkdir()
    os.symlink("0/0", pair.tree / "a" / "link")
    with open(os.fsencode(pair.tree) + b"/a/caf\xe9", "wb") as file:
        file.write(b"x")
    write(pair.tree / "ab", "beside it, in the order of names")
    await pair.assert_equal()


def operations(pair: Pair) -> list[str]:
    """Which operations the server is asked for in batches from now on, in order."""
    seen: list[str] = []

    def note(path: str, body: bytes) -> bytes:
        if path == "/api/batch":
            seen.extend(each["op"] for each in json.loads(body.partition(b"\n")[0])["operations"])
        return body

    pair.weather.damage = note
    return seen


def hashed(pair: Pair) -> int:
    assert pair.daemon
    return int(pair.daemon.checksums.stats.processed.total)


async def test_a_directory_that_is_back_is_not_told_to_have_moved(pair: Pair) -> None:
    """As after a power cut that took the move, and left the rows that say so."""
    assert pair.daemon
    await filled(pair)
    sent, seen = pair.bytes_sent, operations(pair)
    await pair.daemon.holding.hold(None)
    os.rename(pair.tree / "a", pair.tree / "b")
    await pair.scan()
    assert await tree_moves.is_pending(pair.daemon.db)
    os.rename(pair.tree / "b", pair.tree / "a")
    told: list[str] = []

    def note(path: str, body: bytes) -> bytes:
        if path in ("/api/batch", "/api/files/deletions"):
            said = json.loads(body.partition(b"\n")[0])
            told.extend(each["filepath"] for each in said.get("files", ()))
            told.extend(
                each.get("source", each["filepath"]) for each in said.get("operations", ()) if each["op"] != "put"
            )
        return body

    pair.weather.damage = note
    await pair.daemon.holding.resume()
    await pair.assert_equal()
    assert "move_tree" not in seen
    assert [path for path in told if os.path.lexists(path)] == []
    assert pair.bytes_sent == sent


async def test_a_root_that_is_away_holds_up_no_other(pair: Pair) -> None:
    assert pair.daemon
    await filled(pair)
    other = pair.folder / "other"
    other.mkdir()
    path, identity = disk.resolve(os.fsencode(other))
    await pair.daemon.roots.add(path, path, True, identity, 0)
    await pair.daemon.holding.hold(None)
    os.rename(pair.tree / "a", pair.tree / "b")
    await pair.scan()
    assert await tree_moves.is_pending(pair.daemon.db)
    os.rename(pair.tree, pair.folder / "away")
    write(other / "file", "x")
    await pair.scan()
    seen = operations(pair)
    await pair.daemon.holding.resume()
    async with asyncio.timeout(20):
        while path + b"/file" not in await pair.live():
            await asyncio.sleep(0.05)
    assert not {"move_tree", "delete"} & set(seen)
    os.rename(pair.folder / "away", pair.tree)


async def test_a_new_directory_where_a_moved_one_was_is_never_gone(pair: Pair) -> None:
    assert pair.daemon
    await filled(pair)
    await pair.daemon.holding.hold(None)
    os.rename(pair.tree / "a", pair.tree / "b")
    await pair.scan()
    write(pair.tree / "a" / "0" / "0", "another one")
    seen = operations(pair)
    await pair.daemon.holding.resume()
    await pair.assert_equal()
    assert "move_tree" not in seen
    assert pair.bytes_sent < 10_000


async def test_a_renamed_directory_is_one_operation(pair: Pair) -> None:
    await filled(pair)
    before, sent, gens = hashed(pair), pair.bytes_sent, [file["gen"] for file in await pair.listing("any")]
    seen = operations(pair)
    os.rename(pair.tree / "a", pair.tree / "b")
    await pair.assert_equal()
    assert seen == ["move_tree"]
    assert hashed(pair) <= before + 1, "the folder itself, whose ctime has changed"
    assert (pair.bytes_sent, pair.asked("/api/files/deletions")) == (sent, 0)
    assert len({file["gen"] for file in await pair.listing("any")} - set(gens)) == 1
    assert pair.daemon
    assert await HeldDeletions(pair.daemon.db, pair.daemon.queues.deletion).all() == []
    for name in (b"b", b"b/0/0", b"b/link", b"b/caf\xe9"):
        found = await Report(pair.daemon.db).signed_receipt(1, name)
        assert found is not None
        assert found[1] is not None
        check(found[0], found[1])
    pair.weather.requests.clear()
    await pair.settle()
    assert pair.weather.requests == []
    write(pair.tree / "b" / "0" / "0", "changed afterwards")
    (pair.tree / "b" / "1" / "1").unlink()
    await pair.assert_equal()


@pytest.mark.parametrize("target", ["x/y/z", "c", "a0", "\u00e9"])
async def test_to_wherever_it_goes_and_back(pair: Pair, target: str) -> None:
    await filled(pair, 6)
    seen = operations(pair)
    (pair.tree / target).parent.mkdir(parents=True, exist_ok=True)
    os.rename(pair.tree / "a", pair.tree / target)
    await pair.assert_equal()
    os.rename(pair.tree / target, pair.tree / "a")
    await pair.assert_equal()
    assert seen.count("move_tree") == 2
    assert "delete" not in seen


async def test_a_directory_in_a_directory(pair: Pair) -> None:
    await filled(pair)
    seen = operations(pair)
    os.rename(pair.tree / "a" / "1", pair.tree / "up")
    await pair.assert_equal()
    assert seen.count("move_tree") == 1
    os.rename(pair.tree / "up", pair.tree / "a" / "empty" / "down")
    await pair.assert_equal()
    assert seen.count("move_tree") == 2


async def test_by_events(tmp_path: Path) -> None:
    async with watching_pair(tmp_path) as pair:
        for n in range(30):
            write(pair.tree / "a" / f"{n % 3}" / f"{n}", f"content {n}")
        await heard(pair)
        seen = operations(pair)
        os.rename(pair.tree / "a", pair.tree / "b")
        await heard(pair)
        assert seen.count("move_tree") == 1
        assert pair.asked("/api/files/deletions") == 0
        write(pair.tree / "b" / "0" / "new", "it is watched where it is")
        await heard(pair)


async def test_into_another_watched_folder(pair: Pair) -> None:
    await filled(pair)
    assert pair.daemon
    other = pair.folder / "other"
    other.mkdir()
    path, identity = disk.resolve(os.fsencode(other))
    await pair.daemon.roots.add(path, path, True, identity, 0)
    seen = operations(pair)
    os.rename(pair.tree / "a", other / "b")
    await pair.settle()
    assert seen == ["move_tree"]
    live = await pair.live()
    assert sum(path.startswith(os.fsencode(other) + b"/b/") for path in live) == FILES + 1
    assert sum(path.startswith(os.fsencode(pair.tree)) for path in live) == 1


async def test_what_arrives_late_below_the_old_place_stays_gone(pair: Pair) -> None:
    """A request is held up, its sender gives up, and the directory is moved. The server never heard of the path, and a
    `move_tree` would leave no trace of it: so what has no answer yet keeps its directory from moving in one step."""
    await filled(pair)
    held: list[bytes] = []

    def hold_up(path: str, body: bytes) -> bytes:
        if path == "/api/batch" and b"/a/late" in body:
            held.append(body)
            raise httpx.ReadError("nobody answers")
        return body

    pair.weather.damage = hold_up
    write(pair.tree / "a" / "late", "late")
    await pair.scan()
    async with asyncio.timeout(20):
        while not held:
            await asyncio.sleep(0.01)
    os.rename(pair.tree / "a", pair.tree / "b")
    await pair.scan()
    pair.weather.damage = lambda path, body: body
    await pair.assert_equal()
    headers = {"Content-Type": "application/vnd.putplace.batch"}
    for body in held:
        answer = await pair.client().post("/api/batch", content=body, headers=headers)
        assert {each["status"] for each in answer.json()["results"]} == {"stale"}
    assert os.fsencode(pair.tree / "a" / "late") not in await pair.live()


async def not_offered(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    await serve_anew(pair, monkeypatch, FEATURES=[name for name in FEATURES if name != "move_tree"])
    write(pair.tree / "new", "once this is stored, the other server has been greeted")
    await pair.settle()


async def something_in_the_way(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the new place, on the server only."""
    await on_server(pair, {"op": "put", "kind": "dir", "filepath": os.fspath(pair.tree / "b" / "x"), "gen": 1})
    monkeypatch.setattr(tree_moves, "PAUSE_S", 0.01)


async def more_than_we_know(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    await on_server(pair, {"op": "put", "kind": "dir", "filepath": os.fspath(pair.tree / "a" / "x"), "gen": 1})
    monkeypatch.setattr(tree_moves, "PAUSE_S", 0.01)


async def newer_than_we_know(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    await on_server(
        pair, {"op": "attributes", "filepath": os.fspath(pair.tree / "a" / "0" / "0"), "gen": 900, "mode": 1}
    )
    monkeypatch.setattr(tree_moves, "PAUSE_S", 0.01)


async def on_server(pair: Pair, operation: dict[str, object]) -> None:
    head = json.dumps({"host_id": "host-1", "hostname": "laptop", "operations": [operation]}) + "\n"
    headers = {"Content-Type": "application/vnd.putplace.batch"}
    answer = await pair.client().post("/api/batch", content=head.encode(), headers=headers)
    assert answer.json()["results"][0]["status"] == "stored"


@pytest.mark.parametrize("trouble", [not_offered, something_in_the_way, more_than_we_know, newer_than_we_know])
async def test_where_that_cannot_be_it_is_told_file_by_file(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, trouble: Callable[..., object]
) -> None:
    await filled(pair)
    await trouble(pair, monkeypatch)  # type: ignore[misc]
    sent = pair.bytes_sent
    os.rename(pair.tree / "a", pair.tree / "b")
    await pair.settle()
    await pair.settle()
    live = await pair.live_entries()
    for extra in ("a/x", "b/x"):
        live.pop(os.fsencode(pair.tree / extra), None)
    names = {os.path.relpath(path, os.fsencode(pair.tree)) for path in live}
    assert not any(name == b"a" or name.startswith(b"a/") for name in names), sorted(names)
    assert sum(name.startswith(b"b/") for name in names) == FILES + 3 + 3
    assert pair.bytes_sent == sent
    assert pair.daemon
    held = HeldDeletions(pair.daemon.db, pair.daemon.queues.deletion)
    assert await held.all() == [], "nothing is lost, so nobody is asked"


async def moved_on(pair: Pair) -> None:
    os.rename(pair.tree / "b", pair.tree / "c")


async def moved_back(pair: Pair) -> None:
    os.rename(pair.tree / "b", pair.tree / "a")


async def changed_inside(pair: Pair) -> None:
    write(pair.tree / "b" / "0" / "0", "changed")
    write(pair.tree / "b" / "0" / "new", "new")
    (pair.tree / "b" / "1" / "1").unlink()


async def some_of_it_moved_out(pair: Pair) -> None:
    os.rename(pair.tree / "b" / "1", pair.tree / "elsewhere")


async def another_in_its_old_place(pair: Pair) -> None:
    write(pair.tree / "a" / "0" / "0", "another one")


async def removed(pair: Pair) -> None:
    shutil.rmtree(pair.tree / "b")


@pytest.mark.parametrize(
    "then", [moved_on, moved_back, changed_inside, some_of_it_moved_out, another_in_its_old_place, removed]
)
@pytest.mark.parametrize("restart", [False, True])
async def test_what_happens_before_the_server_is_told(pair: Pair, then: Callable[..., object], restart: bool) -> None:
    await filled(pair, 8)
    await pair.stop_server()
    os.rename(pair.tree / "a", pair.tree / "b")
    await pair.scan()
    assert pair.daemon
    assert len(await tree_moves.pending(pair.daemon.db)) == 1
    assert (await pair.counts()).in_state(WorkState.WAITING, Stage.UPLOAD) >= 1, "there is something to do"
    moving = Report(pair.daemon.db).is_moving
    assert (await moving(1, b"b/0/0"), await moving(1, b"b"), await moving(1, b"bc")) == (True, True, False)
    await then(pair)  # type: ignore[misc]
    await pair.scan()
    if restart:
        await pair.stop_daemon()
        await pair.start_server()
        await pair.start_daemon()
    else:
        await pair.start_server()
    await pair.assert_equal()


async def test_out_of_a_folder_that_is_not_watched_any_more(pair: Pair) -> None:
    """Nobody tells the server of the move then; what is believed to be stored must not be where it never was."""
    await filled(pair)
    assert pair.daemon
    other = pair.folder / "other"
    other.mkdir()
    path, identity = disk.resolve(os.fsencode(other))
    await pair.daemon.roots.add(path, path, True, identity, 0)
    await pair.settle()
    before = await pair.live()
    await pair.stop_server()
    os.rename(pair.tree / "a", other / "b")
    await pair.scan()
    assert len(await tree_moves.pending(pair.daemon.db)) == 1
    await pair.daemon.roots.remove(1)
    await pair.start_server()
    await pair.settle()
    live = await pair.live()
    assert before.keys() <= live.keys(), "what was watched stays on the server"
    assert sum(name.startswith(path + b"/b/") for name in live) == FILES + 1


async def test_a_receipt_that_is_newer_than_the_move_stays(pair: Pair) -> None:
    """A snapshot of a file that goes on changing may be stored while the server is told of the move."""
    await filled(pair, 3)
    assert pair.daemon
    db = pair.daemon.db
    await pair.stop_server()
    os.rename(pair.tree / "a", pair.tree / "b")
    await pair.scan()
    (move,) = await tree_moves.pending(db)
    found, _ = await tree_moves.entries(db, move)
    ids = [file_id for file_id, _ in found]
    async with db.transaction() as tx:
        await tx.execute("UPDATE files SET stored_gen = ?1, offered_gen = ?1 WHERE id = ?2", (move.gen + 5, ids[-1]))
        await tree_moves.told(tx, move, ids, 1000, "now", None, 0)
    rows = await db.rows("SELECT id, stored_gen, offered_gen FROM files WHERE stored_gen IS NOT NULL")
    gens = {row[0]: (row[1], row[2]) for row in rows}
    assert gens[ids[-1]] == (move.gen + 5, move.gen + 5)
    assert {gens[file_id] for file_id in ids[:-1]} == {(move.gen, move.gen)}


async def test_what_a_person_wants_kept_stays_where_the_server_has_it(pair: Pair) -> None:
    await filled(pair)
    assert pair.daemon
    db = pair.daemon.db
    before = await pair.live_entries()
    await pair.stop_server()
    os.rename(pair.tree / "a", pair.tree / "b")
    await pair.scan()
    await pair.until(lambda counts: counts.queued(Stage.CHECKSUM) == 0)  # else a later scan misses `b`
    shutil.rmtree(pair.tree / "b")
    await pair.scan()
    deletions = HeldDeletions(db, pair.daemon.queues.deletion)
    await pair.until(lambda counts: counts.queued(Stage.VANISHED) == 0)
    held = await deletions.all()
    assert held[0].count == FILES + 1
    await deletions.reject(held[0].id)
    async with db.transaction() as tx:
        await reconciling.doubt(tx)
    await pair.start_server()
    await pair.settle()
    assert await db.value("SELECT COUNT(*) FROM reconciled") == 1, "and the server was read again"
    assert (await pair.live_entries()).keys() == before.keys()
    assert await deletions.all() == []


@pytest.mark.parametrize("word", ["lost_request", "lost_response", "500", "503", "twice", "html"])
async def test_through_bad_weather(pair: Pair, word: str) -> None:
    await filled(pair)
    seen = operations(pair)
    pair.weather.forecast = [word]
    os.rename(pair.tree / "a", pair.tree / "b")
    await pair.assert_equal()
    assert set(seen) == {"move_tree"}


async def test_two_directories_change_places(pair: Pair) -> None:
    await filled(pair)
    write(pair.tree / "other" / "f", "x")
    await pair.assert_equal()
    sent = pair.bytes_sent
    for source, target in (("a", "c"), ("other", "a"), ("c", "other")):
        os.rename(pair.tree / source, pair.tree / target)
    await pair.assert_equal()
    assert pair.bytes_sent == sent


async def test_out_of_what_is_watched_it_is_gone(tmp_path: Path) -> None:
    async with running_pair(tmp_path, rules={"exclude": ["out/"]}) as pair:
        for n in range(3):  # so few that nobody is asked
            write(pair.tree / "a" / f"{n}", f"{n}")
            write(pair.tree / "d" / f"{n}", f"{n}{n}")
        await pair.assert_equal()
        seen = operations(pair)
        os.rename(pair.tree / "a", pair.folder / "away")
        os.rename(pair.tree / "d", pair.tree / "out")
        await pair.settle()
        assert "move_tree" not in seen
        assert await pair.live_entries() == {}


async def test_another_directory_with_the_same_number_is_no_move(pair: Pair) -> None:
    """A file system gives the number of what was removed to what comes next."""
    await filled(pair, 6)
    seen = operations(pair)
    assert pair.daemon
    os.mkdir(pair.tree / "b")
    write(pair.tree / "b" / "f", "no file of the old one")
    shutil.rmtree(pair.tree / "a")
    number = os.stat(pair.tree / "b").st_ino
    async with pair.daemon.db.transaction() as tx:
        await tx.execute("UPDATE files SET inode = ? WHERE name = CAST('a' AS BLOB)", (number,))
    await pair.assert_equal()
    assert "move_tree" not in seen


async def test_a_signature_that_is_not_the_keys_is_not_believed(pair: Pair) -> None:
    await filled(pair)

    def lie(path: str, answer: object) -> object:
        if path == "/api/batch" and isinstance(answer, dict) and answer["results"][0].get("first_sequence"):
            answer = json.loads(json.dumps(answer))
            answer["results"][0]["first_sequence"] += 1
            pair.weather.lie = lambda path, answer: answer
        return answer

    pair.weather.lie = lie
    os.rename(pair.tree / "a", pair.tree / "b")
    await pair.assert_equal()


async def test_files_moved_one_by_one_send_nothing_and_are_not_taken_for_lost(pair: Pair) -> None:
    for n in range(FILES):
        write(pair.tree / f"{n}", f"content {n}")
    (pair.tree / "d").mkdir()
    await pair.assert_equal()
    sent = pair.bytes_sent
    for n in range(FILES):
        os.rename(pair.tree / f"{n}", pair.tree / "d" / f"new {n}")
    await pair.assert_equal()
    assert pair.bytes_sent == sent
    shutil.copytree(pair.tree / "d", pair.tree / "copies")
    await pair.assert_equal()
    assert pair.bytes_sent == sent, "copies neither"
