"""Tells the server of directories that were moved with everything in them: one operation each, before anything else.

Where the server cannot do that, or knows the directory otherwise than we think, a move becomes ordinary work: files
that are new here and held there, and files that are missing. Nothing is concluded, and no content travels.
"""

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from pp_assist.clock import Clock
from pp_assist.core.errors import AssistError, Remedy, ServerNonsense
from pp_assist.core.events import Event, Tell
from pp_assist.disk import location_in, look
from pp_assist.store import generations, receipts, tree_moves
from pp_assist.store.db import Database
from pp_assist.store.queues import Queues
from pp_assist.store.receipts import SignedTree
from pp_assist.store.roots import RootsTable
from pp_assist.store.tree_moves import TreeMove
from pp_assist.uploader.client import read_batch
from pp_assist.uploader.link import ServerLink
from pp_assist.uploader.packing import body_of
from pp_assist.uploader.reconcile import Reconciler
from pp_assist.uploader.way import Way
from pp_server.wire.batch import OperationResult
from pp_server.wire.merkle import leaf_hash
from pp_server.wire.names import display, json_fields
from pp_server.wire.receipts import NotProven, Receipt, canonical, check_leaves
from pp_server.wire.trees import MAX_MOVE_TREE, Entry, MovedTree, moved_receipts, moved_words, tree_digest

log = logging.getLogger(__name__)

POLL_S = 30.0
PAUSE_S = 0.1
TRIES = 5
"""After so many failures that are not the server's trouble as a whole, a move is told file by file."""


class TreeMoves:
    """The part of the uploader that tells of moved directories."""

    def __init__(
        self,
        db: Database,
        queues: Queues,
        link: ServerLink,
        reconciler: Reconciler,
        clock: Clock,
        threads: ThreadPoolExecutor,
        grace_ms: int,
        told: Tell,
        roots: RootsTable,
    ) -> None:
        self._roots = roots
        self._told = told
        self._db = db
        self._queues = queues
        self._link = link
        self._reconciler = reconciler
        self._clock = clock
        self._threads = threads
        self._grace_ms = grace_ms
        self._failures = 0

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._queues.moved.clear()
            for move in await tree_moves.pending(self._db):
                await self._tell(await self._link.ready(), move)
            if not await tree_moves.is_pending(self._db):
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._queues.moved.wait()

    async def _tell(self, way: Way, move: TreeMove) -> None:
        """Tell of one move, or make ordinary work of it; after trouble it stays as it is."""
        try:
            if not await self._is_so(move):
                await self._expand(move, "it is not so any more", 0)
                return
        except AssistError as error:  # nothing can be said: each file gets its own look, and nobody else waits for that
            await self._expand(move, str(error), 0)
            return
        found, owner = await tree_moves.entries(self._db, move)
        entries = [entry for _, entry in found]
        most = way.capabilities.limit("max_move_tree", MAX_MOVE_TREE)
        if not way.capabilities.can("move_tree") or not 0 < len(entries) <= most:
            await self._expand(move, "the server moves no such directories", 0)
            return
        try:
            answer = await way.client.batch(body_of(way.host, [_operation(move, entries)]), len(entries))
            (result,) = read_batch(answer, 1).results
            if result.status != "stored":
                await self._expand(move, f"{result.status} {result.detail or ''}", result.gen or 0)
                return
            loop = asyncio.get_running_loop()
            proven = await loop.run_in_executor(self._threads, _proven, way, move, entries, owner, result)
        except AssistError as error:
            await self._failed(move, error)
            return
        assert result.first_sequence is not None
        assert result.stored_at is not None
        async with self._db.transaction() as tx:
            tree = None if proven is None else await receipts.keep(tx, *proven)
            ids = [file_id for file_id, _ in found]
            await tree_moves.told(tx, move, ids, result.first_sequence, result.stored_at, tree, self._clock.now_ms())
        self._failures = 0
        log.info("the server has moved %d paths to %s", len(entries), display(move.target_path))
        self._told(Event.FILE_MOVED, move.target_path, count=len(entries))
        await self._link.succeeded()
        self._wake()

    async def _is_so(self, move: TreeMove) -> bool:
        """Look once more, as before any deletion: to the server, all is gone that was where the directory came from.

        It may be back there by now: moved, or as it was before a power cut that took the move and left us our rows.

        Raises:
            AssistError: nothing can be said.
        """
        source = await self._roots.get(move.source.root_id)
        if source is None:
            return False
        place = location_in(source, move.source.path)
        return await asyncio.get_running_loop().run_in_executor(self._threads, look, place) is None

    async def _failed(self, move: TreeMove, error: AssistError) -> None:
        if error.remedy in (Remedy.WAIT, Remedy.LOGIN):
            await self._link.failed(error)
            await asyncio.sleep(PAUSE_S)
            return
        self._failures += 1
        if error.remedy is Remedy.PARK or self._failures >= TRIES:
            await self._expand(move, str(error), 0)
        else:
            await asyncio.sleep(error.retry_after_s or self._failures)

    async def _expand(self, move: TreeMove, why: str, server_gen: int) -> None:
        async with self._db.transaction() as tx:
            await generations.raise_to(tx, server_gen)
            count = await tree_moves.expand(tx, move, self._grace_ms, self._clock.now_ms())
        self._failures = 0
        log.info("%d paths moved to %s are told one by one: %s", count, display(move.target_path), why)
        self._wake()

    def _wake(self) -> None:
        for waiting in self._queues:
            waiting.wake()
        self._reconciler.wake()


def _operation(move: TreeMove, entries: list[Entry]) -> str:
    return json.dumps(
        {
            "op": "move_tree",
            **json_fields(move.source_path, "source"),
            **json_fields(move.target_path),
            "gen": move.gen,
            "count": len(entries),
            "digest": tree_digest(entries),
        }
    )


def _proven(
    way: Way, move: TreeMove, entries: list[Entry], owner: str | None, result: OperationResult
) -> tuple[SignedTree, Receipt] | None:
    """Return what signs the receipts of a move, and the first of them; None where the server signs none. CPU-bound.

    Raises:
        ServerNonsense: it is not what was asked for, or not signed by the key we know.
    """
    if result.count != len(entries) or result.first_sequence is None or result.stored_at is None:
        raise ServerNonsense("a directory was moved, and the answer is about another one")
    if way.key is None:
        return None
    proof = result.proof
    if proof is None or owner is None:
        raise ServerNonsense("the receipts of a moved directory are not signed")
    moved = MovedTree(
        way.whose[1], owner, way.host.host_id, move.source_path, move.target_path, move.gen,
        result.first_sequence, result.stored_at,
    )  # fmt: skip
    leaves = [leaf_hash(canonical(words)) for words in moved_words(moved, entries)]
    try:
        check_leaves(leaves, proof, way.key)
    except NotProven as error:
        raise ServerNonsense(f"the receipts of a moved directory are not to be believed: {error}") from error
    first = next(moved_receipts(moved, entries[:1]))
    return SignedTree(way.key.key_id, proof.signature, b"".join(leaves)), first
