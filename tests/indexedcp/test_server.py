"""IndexedCPServer: what it answers, where chunks go, when an upload ends, what survives."""

import asyncio
import base64
import hashlib
import os
import random
import re
from pathlib import Path

import pytest
from chunk_sender import Asking, Serving
from test_names import corpus

from pp_server.core.errors import StorageFull, SyncFailed
from pp_server.durable import Durable
from pp_server.indexedcp import IndexedCPServer
from pp_server.indexedcp.model import Incoming
from pp_server.indexedcp.names import NameRefused


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def test_chunks_become_one_file(serving: Serving) -> None:
    s = serving()
    names = {await s.sent("reports/data.csv", n, b"%d" % n * 10) for n in range(3)}
    [name] = names
    assert re.fullmatch(r"\d{13}_[0-9a-f]{8}_reports_data\.csv", name)
    assert s.files() == {name: b"0" * 10 + b"1" * 10 + b"2" * 10}


@pytest.mark.parametrize("mode", ["sanitize", "allow-paths"])
async def test_a_second_upload_of_a_name_is_another_file(serving: Serving, mode: str) -> None:
    s = serving(path_mode=mode)
    for text in (b"one", b"two", b"three"):
        await s.sent("data.csv", 0, text)
    assert sorted(s.files().values()) == [b"one", b"three", b"two"]
    assert "data.csv" in s.files() and all(re.fullmatch(r"data(_[0-9a-f_]+)?\.csv", name) for name in s.files())


async def test_paths_make_folders(serving: Serving) -> None:
    s = serving(path_mode="allow-paths")
    assert await s.sent("a/b//c.txt", 0, b"x") == "a/b/c.txt"
    assert (await s.send("a/b/c.txt/d", 0, b"x")).status_code == 400
    assert s.files() == {"a/b/c.txt": b"x"}


async def test_a_repeated_chunk_changes_nothing(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    for n in (0, 0, 1, 0, 1, 2, 2):
        await s.sent("f", n, b"%d" % n * 5)
    assert s.files() == {"f": b"0000011111" + b"22222"}
    assert (await s.send("f", 1, b"other")).status_code == 409
    assert await s.received("f") == [0, 1, 2]


async def test_chunks_in_any_order_of_any_length(serving: Serving) -> None:
    s, chance = serving(path_mode="sanitize"), random.Random(3)
    for round_ in range(5):
        chunks = [chance.randbytes(chance.randint(0, 40)) for _ in range(8)]
        order = list(range(8))
        chance.shuffle(order)
        for n in order:
            await s.sent(f"f{round_}", n, chunks[n])
        assert s.files()[f"f{round_}"] == b"".join(chunks)
    assert not [name for name in os.listdir(s.folder) if name.endswith(".part")]


async def test_chunks_whose_size_is_told_go_to_their_place_at_once(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    data = random.Random(1).randbytes(950)
    cut = [data[n * 100 : (n + 1) * 100] for n in range(10)]
    for order in ([9, 0, 4, 1], [2, 3, 5, 6, 7, 8]):
        more = {"X_Total_Chunks": 10, "X_Chunk_Size": 100, "X_Upload_Id": "abc"}
        await asyncio.gather(*(s.sent("f", n, cut[n], **more) for n in order))
    assert s.files() == {"f": data}
    assert s.server.get_server_info()["active_sessions"] == 0


async def test_the_end_is_reached_with_the_last_chunk_and_what_follows_is_a_new_file(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    for n in range(2):
        await s.sent("f", n, b"%d" % n, X_Total_Chunks=2)
    assert await s.received("f") == []
    name = await s.sent("f", 0, b"0", X_Total_Chunks=2)
    assert name != "f" and s.files() == {"f": b"01", name: b"0"}


async def test_an_upload_that_says_nothing_ends_when_it_is_left_alone(serving: Serving) -> None:
    s = serving(path_mode="sanitize", idle_seconds=0.2)
    await s.sent("f", 0, b"a")
    assert s.server.get_server_info()["active_sessions"] == 1
    await asyncio.sleep(0.3)
    assert s.server.get_server_info()["active_sessions"] == 0
    await s.sent("f", 0, b"a")
    await s.sent("g", 1, b"b")  # its first chunk is still missing: that does not end by itself
    await asyncio.sleep(0.3)
    assert list(s.files().values()) == [b"a", b"a", b""]
    await s.sent("g", 0, b"a")
    assert s.files()["g"] == b"ab"


async def test_an_upload_with_a_name_of_its_own_may_be_repeated_whenever(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    more = {"X_Total_Chunks": 2, "X_Upload_Id": "one"}
    for n in (0, 1):
        await s.sent("f", n, b"%d" % n, **more)
    s = serving(path_mode="sanitize")
    answer = await s.send("f", 1, b"1", **more)
    assert answer.json()["duplicate"] and answer.json()["complete"] and answer.json()["actualFilename"] == "f"
    status = await s.http.get("/upload/status", params={"filename": "f"}, headers={"X-Upload-Id": "one"})
    assert status.json() == {"filename": "f", "receivedChunks": [0, 1], "complete": True, "uploadId": "one"}
    assert s.files() == {"f": b"01"}


async def test_two_at_once_with_the_same_name_are_two_files(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    names: dict[str, set[str]] = {"a": set(), "b": set()}
    for n in range(20):
        for who in "ab":
            names[who].add(await s.sent("f", n, who.encode() * 10, X_Total_Chunks=20, X_Chunk_Size=10, X_Upload_Id=who))
    assert all(len(found) == 1 for found in names.values())
    assert sorted(s.files().values()) == [b"a" * 200, b"b" * 200]


async def test_two_keys_do_not_meet(serving: Serving, tmp_path: Path) -> None:
    s = serving(path_mode="sanitize")
    await s.sent("f", 0, b"mine")
    s.http.headers["Authorization"] = "other-key"  # without "Bearer", as Python clients may
    assert await s.received("f") == []
    assert await s.sent("f", 1, b"theirs") != "f"
    assert s.files()["f"] == b"mine"


async def test_the_same_file_from_another_machine_goes_on(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    more = {"X_File_SHA256": sha(b"onetwo"), "X_Total_Chunks": 2, "X_Chunk_Size": 3}
    await s.sent("f", 0, b"one", X_Upload_Id="here", **more)
    await s.sent("f", 1, b"two", X_Upload_Id="there", **more)
    assert s.files() == {"f": b"onetwo"}
    assert (await s.send("f", 0, b"one", **more)).json()["duplicate"]
    (s.folder / "f").unlink()  # whoever it was for took it: the same again is wanted again
    assert not (await s.send("f", 0, b"one", **more)).json()["duplicate"]


async def test_a_file_that_is_not_what_was_announced_begins_anew(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    more = {"X_File_SHA256": sha(b"good"), "X_Total_Chunks": 2}
    await s.sent("f", 0, b"go", **more)
    answer = await s.send("f", 1, b"xx", **more)
    assert answer.status_code == 400 and answer.json()["error"] == "SHA256 mismatch"
    assert s.files() == {} and await s.received("f", **{"X-File-SHA256": sha(b"good")}) == []
    for n, data in enumerate((b"go", b"od")):
        await s.sent("f", n, data, **more)
    assert s.files() == {"f": b"good"}


@pytest.mark.parametrize("digest", ["=" * 44, "A" * 41 + "===", "A" * 40 + "====", "AA=A" * 11])
async def test_a_digest_that_is_none_is_refused(serving: Serving, digest: str) -> None:
    s = serving()
    answer = await s.send("f", 0, b"x", Content_Digest=f"sha-256=:{digest}:")
    assert answer.status_code == 400, answer.text
    assert s.files() == {}


async def test_a_damaged_chunk_is_refused(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    digest = base64.b64encode(hashlib.sha256(b"good").digest()).decode()
    answer = await s.send("f", 0, b"bad", Content_Digest=f"sha-256=:{digest}:")
    assert answer.status_code == 400 and s.files() == {}
    await s.sent("f", 0, b"good", Content_Digest=f"sha-256=:{digest}:")


def test_a_chunk_has_the_digest_of_its_bytes_from_the_start() -> None:
    assert Incoming("me", "f", 0, b"x").sha256 == sha(b"x")
    with pytest.raises(TypeError):
        Incoming("me", "f", 0, b"x", sha256="")  # type: ignore[call-arg]


async def test_an_empty_file_is_one_empty_chunk(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    answer = await s.send("empty", None, b"", X_Total_Chunks=1)
    assert answer.json()["chunkIndex"] == 0 and answer.json()["complete"]
    assert s.files() == {"empty": b""}


# -- words


async def test_answers_are_for_both_kinds_of_clients(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    assert (await s.http.get("/health", headers={"Authorization": ""})).json() == {
        "status": "ok",
        "service": "IndexedCP Server",
    }
    for key in ("", "Bearer wrong", "Bearer "):
        for ask in (s.http.post("/upload"), s.http.get("/upload/status?filename=f")):
            ask.close()
        answer = await s.http.post("/upload", content=b"x", headers={"Authorization": key})
        assert answer.status_code == 401
        assert answer.json()["error"] == answer.json()["detail"] == "Invalid or missing API key"
        assert (await s.http.get("/upload/status?filename=f", headers={"Authorization": key})).status_code == 401
    bad = await s.send("a/b", 0, b"x")
    assert bad.status_code == 400 and bad.json()["error"] == "Invalid filename" and bad.json()["message"]
    nul = await s.send("a%00b", 0, b"x", X_File_Name_Encoding="utf-8")
    assert nul.status_code == 403 and nul.json()["error"] == "Access denied: invalid path"
    for headers in ({"X_Total_Chunks": "x"}, {"X_Chunk_Size": "-1"}, {"X_File_SHA256": "zz"}):
        assert (await s.send("f", 0, b"x", **headers)).status_code == 400
    assert (await s.http.post("/upload", headers={"X-Chunk-Index": "1.5"})).status_code == 400
    assert (await s.http.get("/upload/status")).status_code == 400
    assert s.files() == {}


async def test_names_as_python_node_and_curl_send_them(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    for raw, more, name in (
        ("né.txt".encode("latin-1"), {}, "né.txt"),
        ("né文.txt".encode(), {}, "né文.txt"),
        (b"%e6%96%87%20x.txt", {"X_File_Name_Encoding": "utf-8"}, "文 x.txt"),
        (b"100%25.txt", {}, "100%25.txt"),
    ):
        answer = await s.send(raw, 0, b"x", **more)
        assert answer.json()["actualFilename"] == answer.json()["clientFilename"] == name
    odd = await s.send(b"caf%e9", 0, b"x", X_File_Name_Encoding="utf-8")
    assert odd.json()["actualFilename"] == "caf\ufffd" and odd.json()["actualFilename_b64"]
    assert os.path.exists(os.fsencode(s.folder) + b"/caf\xe9")
    assert (await s.http.post("/upload", content=b"x")).json()["clientFilename"] == "uploaded_file.txt"
    assert (await s.send("", 0, b"x")).status_code == 400


def test_what_cannot_be_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Invalid path_mode"):
        IndexedCPServer(tmp_path, path_mode="free")
    with pytest.raises(NotImplementedError, match="Encryption not supported"):
        IndexedCPServer(tmp_path, encryption=True)
    server = IndexedCPServer(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").is_dir()
    assert len(server.api_keys) == 1 and re.fullmatch("[0-9a-f]{64}", server.api_keys[0])


async def test_info_sessions_and_marks(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    assert s.server.get_server_info() == {
        "port": 3000,
        "upload_dir": str(s.folder),
        "path_mode": "sanitize",
        "api_keys_count": 2,
        "encryption": False,
        "active_sessions": 0,
    }
    s.server.upload_sessions["test"] = {"anything": 1}
    assert s.server.get_server_info()["active_sessions"] == 1
    await s.sent("f", 0, b"a")
    assert s.server.is_chunk_received("f", 0) and not s.server.is_chunk_received("f", 1)
    s.server.mark_chunk_received("f", 7)
    assert s.server.get_received_chunks("f") == {0, 7}
    assert await s.received("f") == [0, 7]
    s.server.clear_sessions()
    assert s.server.upload_sessions == {}
    assert await s.sent("f", 0, b"a") != "f"
    assert serving(path_mode="sanitize").server.get_received_chunks("f") == {0, 7}


# -- what survives


async def test_a_restart_changes_nothing(serving: Serving) -> None:
    for n in range(4):
        s = serving(path_mode="sanitize")
        assert await s.sent("f", n, b"%d" % n) == "f"
        await s.sent("g", 3 - n, b"%d" % n)
        await s.sent("h", n, b"%d" % n, X_Chunk_Size=1, X_Total_Chunks=4, X_Upload_Id="x")
        assert await s.received("f") == list(range(n + 1))
    assert s.files() == {"f": b"0123", "g": b"3210", "h": b"0123"}


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_the_records_may_be_deleted_while_it_runs(serving: Serving, tmp_path: Path, elsewhere: bool) -> None:
    where = tmp_path / "state" / "records.db" if elsewhere else None
    s = serving(path_mode="sanitize", tracking_db=where)
    database = where or s.folder / ".indexcp_chunks.db"
    await s.sent("done", 0, b"x", X_Total_Chunks=1, X_Upload_Id="1")
    for n in range(3):
        await s.sent("f", n, b"%d" % n)
        for path in database.parent.glob(database.name + "*"):
            path.unlink()
    await s.sent("other", 0, b"x")
    s = serving(path_mode="sanitize", tracking_db=where)
    assert await s.received("f") == [0, 1, 2]
    await s.sent("f", 3, b"3")
    assert (await s.send("done", 0, b"x", X_Total_Chunks=1, X_Upload_Id="1")).json()["duplicate"]
    assert s.files() == {"done": b"x", "f": b"0123", "other": b"x"}
    assert elsewhere != (s.folder / ".indexcp_chunks.db").exists()


async def test_everything_in_the_folder_may_be_deleted_while_it_runs(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    for _ in range(3):
        assert await s.sent("f", 0, b"same") == "f"
        assert await s.sent("f", 1, b"more") == "f"
        assert s.files() == {"f": b"samemore"}
        for path in s.folder.iterdir():
            path.unlink()


async def test_damaged_records_are_put_aside(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    s.server.close()
    (s.folder / ".indexcp_chunks.db").write_bytes(b"nonsense" * 1000)
    s = serving(path_mode="sanitize")
    assert await s.sent("f", 0, b"x") == "f"
    assert [name for name in os.listdir(s.folder) if "damaged" in name]


# -- trouble


class Failing(Durable):
    """Fails at the steps named."""

    def __init__(self) -> None:
        super().__init__()
        self.at = ""
        self.error: Exception = StorageFull("full")

    def step(self, name: str) -> None:
        if name == self.at:
            raise self.error


@pytest.mark.parametrize("at", ["before write", "before datasync", "before commit", "before link", "after link"])
@pytest.mark.parametrize("sized", [False, True])
async def test_a_chunk_that_fails_counts_for_nothing_and_may_be_sent_again(
    serving: Serving, at: str, sized: bool
) -> None:
    durable = Failing()
    s = serving(path_mode="sanitize", durable=durable)
    more = {"X_Chunk_Size": 1, "X_Total_Chunks": 3, "X_Upload_Id": "u"} if sized else {}
    for error, status in ((StorageFull("full"), 507), (SyncFailed("failed"), 500)):
        for n in range(3):
            durable.at, durable.error = at, error
            answer = await s.send(f"f{status}", n, b"%d" % n, **more)
            if n == 0 or "link" not in at:
                assert answer.status_code == status and answer.json()["error"] == "Write error"
                assert await s.received(f"f{status}", **({"X-Upload-Id": "u"} if sized else {})) == list(range(n))
            durable.at = ""
            await s.sent(f"f{status}", n, b"%d" % n, **more)
    assert sorted(s.files().values()) == [b"012", b"012"]
    assert not [name for name in os.listdir(s.folder) if name.endswith(".part")]


class Lazy(Durable):
    """Syncs nothing: some tests are about names only, and about many."""

    def sync(self, fd: int) -> None:
        """Do not."""

    datasync = sync


@pytest.mark.parametrize("mode", ["ignore", "sanitize", "allow-paths"])
async def test_no_name_leaves_the_folder(serving: Serving, tmp_path: Path, mode: str) -> None:
    s = serving(path_mode=mode, durable=Lazy(), log_level="ERROR")
    receiver = s.server._opened()
    receiver._tracking._opened().execute("PRAGMA synchronous = OFF")
    (tmp_path / "outside").mkdir()
    before = sorted(str(path) for path in tmp_path.rglob("*") if s.folder not in (path, *path.parents))
    (s.folder / "link").symlink_to(tmp_path / "outside")
    (s.folder / "dangling").symlink_to(tmp_path / "outside" / "made")
    taken = refused = 0
    for name in ["link/x", "link", "dangling", "dangling/x", *corpus(2200, seed=11)]:
        try:
            receiver.receive(Incoming("me", name, 0, b"x", total_chunks=1))
            taken += 1
        except NameRefused:
            refused += 1
    assert taken > 60 and (mode == "ignore") == (refused == 0)
    assert sorted(str(path) for path in tmp_path.rglob("*") if s.folder not in (path, *path.parents)) == before
    assert (s.folder / "link").is_symlink() and (s.folder / "dangling").is_symlink()


async def test_a_folder_that_is_swapped_for_a_link_meanwhile_is_not_followed(serving: Serving, tmp_path: Path) -> None:
    s = serving(path_mode="allow-paths")
    outside = tmp_path / "outside"
    outside.mkdir()
    await s.sent("sub/f", 0, b"a")
    (s.folder / "sub").rename(s.folder / "was")
    (s.folder / "sub").symlink_to(outside)
    for n in (0, 1):
        answer = await s.send("sub/f", n, b"b")
        assert answer.status_code == 403
    assert list(outside.iterdir()) == [] and (s.folder / "was" / "f").read_bytes() == b"a"


async def test_many_at_once(serving: Serving) -> None:
    s = serving(path_mode="sanitize")
    contents = {f"f{n}": os.urandom(1000) for n in range(12)}

    async def one(s: Asking, name: str, data: bytes) -> None:
        await asyncio.gather(
            *(
                s.sent(name, i, data[i * 100 : i * 100 + 100], X_Chunk_Size=100, X_Total_Chunks=10, X_Upload_Id=name)
                for i in [*range(10), 3, 4]
            )
        )

    await asyncio.gather(*(one(s, name, data) for name, data in contents.items()))
    assert s.files() == contents
