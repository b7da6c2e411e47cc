"""A customer of the server: uploads, deletes, gives up, comes back; and writes down each question and each answer.

Speaks HTTP as documented in docs/protocol.md and knows nothing else of the server. One customer is one host, one thing
at a time; what it does follows from its random numbers, when it is interrupted does not.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.oracle.oracle import DELETED, Broken, Fact, Oracle, State

FOLDERS = ("/a", "/b", "/c", "/d")
"""Files are put into the first two, and all of them are moved."""
PAGE = 500
BATCH_TYPE = "application/vnd.putplace.batch"
MOST_INLINE = 256 * 1024
MOST_IN_A_BATCH = 8 * 1024 * 1024


class Lost(Exception):
    """No answer, or one that says nothing: the server is gone, or is on its way out."""


def contents(seed: int, size: int) -> bytes:
    """Return the bytes that belong to a seed and a size."""
    return random.Random(seed).randbytes(size)


@dataclass(frozen=True)
class Operation:
    """One of a batch: what is asked, the bytes that follow, and the versions it makes."""

    asked: dict[str, Any]
    content: bytes
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Taste:
    """What customers do, and how much of it."""

    paths: int = 8
    size: Callable[[random.Random], int] = lambda rng: int(2 ** rng.uniform(0, 15)) - 1
    geometry: Mapping[str, int] = field(default_factory=lambda: {"chunk_size": 4096})
    in_flight: int = 3
    known: float = 0.25
    """How often content is sent that the server has already."""
    give_up: float = 0.05
    stop_midway: float = 0.05
    delete: float = 0.15
    batch: float = 0.4
    """How often many things are asked for at once."""
    move_tree: float = 0.06
    """How often a whole folder moves."""


class Customer:
    """One host. *excused* says whether the server may fail now, because somebody took its disk or killed it."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        oracle: Oracle,
        host: str,
        rng: random.Random,
        excused: Callable[[], bool],
        taste: Taste | None = None,
    ) -> None:
        self._http = http
        self._oracle = oracle
        self._host = host
        self._rng = rng
        self._excused = excused
        self._taste = taste or Taste()
        self._gen = oracle.highest_gen(host)
        self.acknowledged = 0
        self.sent_again = 0

    # what customers do

    async def act(self) -> None:
        """Do one thing. Raises Lost where the server went away meanwhile: then `finish` is what comes next."""
        if self._rng.random() < self._taste.move_tree and (moving := self._moving_folder()) is not None:
            await self.batch([moving])
            return
        dice = self._rng.random()
        live = self._live()
        if dice < self._taste.batch:
            await self.batch(self.some_operations(self._rng.choice([1, 3, 10, 30])))
        elif live and dice < self._taste.batch + self._taste.delete:
            some = self._rng.sample(live, min(len(live), self._rng.randint(1, 3)))
            await self.delete([self.gone(fact.path) for fact in some])
        else:
            await self.upload(self._new_version(), self._rng.random())

    async def finish(self) -> None:
        """Bring what was begun to its end, as every client does after a crash: by asking the same again."""
        left = self._oracle.unfinished(self._host)
        if self._taste.batch and self._rng.random() < 0.5:
            small = [fact for fact in left if fact.size <= MOST_INLINE]
            await self.batch([self.plainest(fact) for fact in small])
            left = [fact for fact in left if fact not in small]
        for fact in left:
            if not fact.is_tombstone:
                await self.upload(fact)
        gone = [fact for fact in left if fact.is_tombstone]
        if gone:
            await self.delete(gone)

    def _live(self) -> list[Fact]:
        heads = self._oracle.newest(self._host).values()
        return [f for f in heads if not f.is_tombstone and self._oracle.states[f] is State.ACKED]

    def _fact(self, path: str, sha256: str, size: int = 0, seed: int = 0) -> Fact:
        self._gen += 1
        return Fact(self._host, path, self._gen, sha256, size, seed)

    def gone(self, path: str) -> Fact:
        """Return a tombstone for a path."""
        return self._fact(path, DELETED)

    def _new_version(self) -> Fact:
        path = _path(self._rng.randrange(self._taste.paths))
        live = self._live()
        if live and self._rng.random() < self._taste.known:
            same = self._rng.choice(live)
            return self._fact(path, same.sha256, same.size, same.seed)
        return self.made_up(path, self._taste.size(self._rng))

    def made_up(self, path: str, size: int) -> Fact:
        """Return a new version of a path, with content nobody has seen."""
        seed = self._rng.getrandbits(48)
        return self._fact(path, hashlib.sha256(contents(seed, size)).hexdigest(), size, seed)

    async def upload(self, fact: Fact, mood: float = 1.0) -> None:
        """Send one version. With a low *mood* it is given up, or left half sent and then resumed."""
        self._oracle.note(State.BEGUN, fact)
        begun = await self._initiate(fact)
        chunks = [n for first, last in begun["missing"] for n in range(first, last + 1)]
        if mood < self._taste.give_up:
            await self._send(fact, begun, chunks[: len(chunks) // 2])
            await self._ask("DELETE", f"/api/uploads/{begun['upload_id']}")
            self._oracle.note(State.REFUSED, fact)
            return
        if mood < self._taste.give_up + self._taste.stop_midway:
            await self._send(fact, begun, chunks[: len(chunks) // 2])
            begun = await self._initiate(fact)
            chunks = [n for first, last in begun["missing"] for n in range(first, last + 1)]
        self._rng.shuffle(chunks)
        await self._send(fact, begun, chunks)
        self._oracle.note(State.ASKED, fact)
        done = await self._complete(fact, begun)
        self._oracle.note(State.ACKED, fact, receipts=[done["receipt"]])
        self.acknowledged += 1

    async def delete(self, facts: Sequence[Fact]) -> None:
        """Tell of deletions, all in one request."""
        self._oracle.note(State.ASKED, *facts)
        orders = [
            {"filepath": f.path, "hostname": self._host, "gen": f.gen, "sha256": self._before(f).sha256} for f in facts
        ]
        done = await self._ask("POST", "/api/files/deletions", json={"files": orders})
        for fact, result in zip(facts, done["results"], strict=True):
            if result["status"] != "deleted":  # only what was acknowledged is ever deleted
                raise Broken(f"the deletion {fact} is answered {result}")
            self._oracle.note(State.ACKED, fact)
            self.acknowledged += 1

    async def batch(self, operations: Sequence[Operation]) -> None:
        """Ask for many things at once: all happen, or none."""
        if not operations:
            return
        facts = [fact for operation in operations for fact in operation.facts]
        self._oracle.note(State.ASKED, *facts)
        head = {"hostname": self._host, "operations": [operation.asked for operation in operations]}
        body = json.dumps(head).encode() + b"\n" + b"".join(operation.content for operation in operations)
        done = await self._ask("POST", "/api/batch", content=body, headers={"Content-Type": BATCH_TYPE})
        receipts = []
        for operation, result in zip(operations, done["results"], strict=True):
            if result["status"] not in ("stored", "deleted"):  # each was newer than all that was acknowledged
                raise Broken(f"{operation.asked} is answered {result}")
            if operation.asked["op"] == "move_tree":
                receipts += await self._receipts_of_folder(result)
                continue
            receipts += [result["receipt"]] if result.get("source_receipt") is None else []
            if result.get("source_receipt") is not None:
                receipts += [result["source_receipt"], result["receipt"]]
        self._oracle.note(State.ACKED, *facts, receipts=receipts)
        self.acknowledged += len(facts)

    def some_operations(self, number: int) -> list[Operation]:
        """Make up operations, each on paths of its own."""
        live = self._live()
        self._rng.shuffle(live)
        paths = [_path(n) for n in range(self._taste.paths)]
        self._rng.shuffle(paths)
        made, used, room = [], set[str](), MOST_IN_A_BATCH
        for path in paths[:number]:
            one = self._operation(path, [fact for fact in live if fact.path not in used])
            paths_of_it = {fact.path for fact in one.facts}
            if used & paths_of_it or len(one.content) > room:
                continue
            used |= paths_of_it
            room -= len(one.content)
            made.append(one)
        return made

    def _operation(self, path: str, live: list[Fact]) -> Operation:
        verb = self._rng.choice(["put", "put", "put", "held", "delete", "move", "attributes"]) if live else "put"
        if verb == "put":
            return self.plainest(self.made_up(path, min(self._taste.size(self._rng), MOST_INLINE)))
        of = live[0]
        same = self._fact(of.path if verb == "attributes" else path, of.sha256, of.size, of.seed)
        if verb == "held" or (verb == "move" and of.path == path):
            return Operation(_put(same, "held"), b"", (same,))
        if verb == "attributes":
            asked = {"op": "attributes", "filepath": of.path, "gen": same.gen, "mode": 0o640, "sha256": of.sha256}
            return Operation(asked, b"", (same,))
        gone = Fact(of.host, of.path, same.gen, DELETED)
        if verb == "delete":
            return Operation(_delete(gone), b"", (gone,))
        asked = {"op": "move", "filepath": path, "source": of.path, "gen": same.gen, "sha256": of.sha256}
        return Operation(asked, b"", (gone, same))

    def _moving_folder(self) -> Operation | None:
        """Make up the move of a folder that has something in it to a place where nothing is."""
        there: dict[str, list[Fact]] = {folder: [] for folder in FOLDERS}
        for path in self._oracle.newest(self._host):
            acked = [f for f in self._oracle.of_path(self._host, path) if self._oracle.states[f] is State.ACKED]
            if acked and not acked[-1].is_tombstone and (folder := path.rpartition("/")[0]) in there:
                there[folder].append(acked[-1])
        full, empty = [f for f in FOLDERS if there[f]], [f for f in FOLDERS if not there[f]]
        if not full or not empty:
            return None
        source, target = self._rng.choice(full), self._rng.choice(empty)
        self._gen += 1
        hasher, facts = hashlib.sha256(), list[Fact]()
        for of in sorted(there[source], key=lambda fact: fact.path):
            name = of.path[len(source) + 1 :]
            hasher.update(f"{name}\0file\0{of.sha256}\0".encode())
            facts.append(Fact(of.host, of.path, self._gen, DELETED))
            facts.append(Fact(of.host, f"{target}/{name}", self._gen, of.sha256, of.size, of.seed))
        known = {"count": len(facts) // 2, "digest": hasher.hexdigest()}
        asked = {"op": "move_tree", "source": source, "filepath": target, "gen": self._gen, **known}
        return Operation(asked, b"", tuple(facts))

    async def _receipts_of_folder(self, result: dict[str, Any]) -> list[dict[str, Any]]:
        first, count = result["first_sequence"], result["count"]
        return [await self._ask("GET", f"/api/receipts/{n}") for n in range(first, first + 2 * count)]

    def plainest(self, fact: Fact) -> Operation:
        """Return the plainest operation that makes this version."""
        if fact.is_tombstone:
            return Operation(_delete(fact), b"", (fact,))
        return Operation(_put(fact, "inline"), contents(fact.seed, fact.size), (fact,))

    def _before(self, tombstone: Fact) -> Fact:
        """Return the version that a deletion is about."""
        return next(f for f in reversed(self._oracle.of_path(self._host, tombstone.path)) if not f.is_tombstone)

    async def _initiate(self, fact: Fact) -> Any:
        return await self._ask(
            "POST",
            "/api/uploads/initiate",
            json={
                "filepath": fact.path,
                "hostname": self._host,
                "gen": fact.gen,
                "sha256": fact.sha256,
                "file_size": fact.size,
                **self._taste.geometry,
            },
        )

    async def _send(self, fact: Fact, begun: Any, chunks: list[int]) -> None:
        if not chunks:
            return
        data, size = contents(fact.seed, fact.size), begun["chunk_size"]
        waiting = list(reversed(chunks))

        async def sender() -> None:
            while waiting:
                n = waiting.pop()
                url = f"/api/uploads/{begun['upload_id']}/chunk/{n}"
                await self._ask("PUT", url, content=data[n * size : (n + 1) * size])

        outcomes = await asyncio.gather(
            *(sender() for _ in range(min(self._taste.in_flight, len(chunks)))), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _complete(self, fact: Fact, begun: Any) -> Any:
        """Return the answer of complete; what the server's disk lost meanwhile is sent once more, as documented."""
        url, body = f"/api/uploads/{begun['upload_id']}/complete", {"sha256": fact.sha256}
        done = await self._ask("POST", url, unless="not_all_chunks_uploaded", json=body)
        if "missing" not in done:
            return done
        self.sent_again += 1
        await self._send(fact, begun, [n for first, last in done["missing"] for n in range(first, last + 1)])
        return await self._ask("POST", url, json=body)

    async def _ask(self, method: str, url: str, unless: str = "", **body: Any) -> Any:
        """Return the answer of a request that must succeed, or be refused with that code, unless it is excused."""
        try:
            answer = await self._http.request(method, url, **body)
        except httpx.HTTPError as error:
            if self._excused():
                raise Lost from error
            raise Broken(f"{method} {url}: {error!r}") from error
        if answer.is_success or (unless and answer.json().get("code") == unless):
            return answer.json()
        if self._excused():
            raise Lost(f"{method} {url}: {answer.status_code}")
        raise Broken(f"{method} {url}: {answer.status_code} {answer.text}")


def _path(number: int) -> str:
    return f"{FOLDERS[number % 2]}/{number}"


def _put(fact: Fact, content: str) -> dict[str, Any]:
    asked = {"op": "put", "filepath": fact.path, "gen": fact.gen, "sha256": fact.sha256}
    return asked | {"file_size": fact.size, "content": content}


def _delete(fact: Fact) -> dict[str, Any]:
    return {"op": "delete", "filepath": fact.path, "gen": fact.gen}


# -- looking at what is there


async def listing(http: httpx.AsyncClient, host: str) -> dict[str, tuple[int, str, int]]:
    """Return a host's live files: path to generation, digest and size."""
    found: dict[str, tuple[int, str, int]] = {}
    params: dict[str, Any] = {"host_id": host, "limit": PAGE}
    while True:
        answer = await http.get("/api/files", params=params)
        if answer.status_code != 200:
            raise Broken(f"listing {host}: {answer.status_code} {answer.text}")
        page = answer.json()
        found |= {file["filepath"]: (file["gen"], file["sha256"], file["file_size"]) for file in page["files"]}
        if page["next"] is None:
            if len(found) != page["total"]:
                raise Broken(f"{host}: {len(found)} files listed, {page['total']} announced")
            return found
        params["after"] = page["next"]


async def wrong_download(http: httpx.AsyncClient, sha256: str, size: int) -> str:
    """Return what is wrong with the content of that digest; empty where nothing is."""
    hasher, length = hashlib.sha256(), 0
    try:
        async with http.stream("GET", f"/api/files/{sha256}/content") as answer:
            if answer.status_code != 200:
                return f"{sha256} ({size} bytes): {answer.status_code} {(await answer.aread()).decode()}"
            async for block in answer.aiter_bytes():
                hasher.update(block)
                length += len(block)
    except httpx.HTTPError as error:
        return f"{sha256} ({size} bytes): {error!r} after {length} bytes"
    if (hasher.hexdigest(), length) != (sha256, size):
        return f"{sha256} ({size} bytes) came as other {length} bytes"
    return ""


async def verify(http: httpx.AsyncClient, oracle: Oracle, contents_of: Sequence[Fact] | None = None) -> int:
    """Compare the server with the oracle: all listings, and the contents of these facts (None: of all and of all live).

    Return how many contents were read.

    Raises:
        Broken: something acknowledged is missing, or something is there that nobody asked for.
    """
    wrong: list[str] = []
    wanted = {fact.sha256: fact.size for fact in (oracle.acked() if contents_of is None else contents_of)}
    for host in sorted(oracle.hosts()):
        listed = await listing(http, host)
        wrong += oracle.wrong_in_listing(host, listed)
        unsaid = {fact.path for fact in oracle.unfinished(host)}
        for path, (_, sha256, size) in listed.items():
            if contents_of is None or path in unsaid:  # listed without ever having been acknowledged: to be had as well
                wanted[sha256] = size
        wrong += await _wrong_host(http, oracle, host)
    wanted.pop(DELETED, None)
    wrong += [said for sha256, size in wanted.items() if (said := await wrong_download(http, sha256, size))]
    if wrong:
        raise Broken("\n".join(wrong[:20]))
    return len(wanted)


async def _wrong_host(http: httpx.AsyncClient, oracle: Oracle, host: str) -> list[str]:
    promised = max((fact.gen for fact in oracle.acked() if fact.host == host), default=None)
    if promised is None:
        return []
    answer = await http.get(f"/api/hosts/{host}")
    if answer.status_code == 200 and answer.json()["highest_gen"] >= promised:
        return []
    return [f"{host} is at {answer.status_code} {answer.text}, generation {promised} was acknowledged"]


async def wrong_repeats(customer: Customer, facts: Sequence[Fact]) -> None:
    """Complete versions that are their path's newest once more: each must get the very receipt it has."""
    for fact in facts:
        await customer.upload(fact)  # the oracle compares the receipts
