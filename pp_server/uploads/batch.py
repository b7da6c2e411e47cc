"""Batches: many small operations, one append to a pack, one transaction, one line in the receipts log."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pp_server.core.errors import BodyWrongLength, Forbidden, TooLarge
from pp_server.core.extents import Blob
from pp_server.core.model import Caller, Facts, Scope
from pp_server.core.recorded import Recorded, Whose, recorded
from pp_server.core.trees import Moved, MoveTree
from pp_server.core.versions import Attributes, Delete, Move, Operation, Outcome, Put, Verdict, Version
from pp_server.metadata.base import Applied, Batch
from pp_server.receipts.issuer import Issuer
from pp_server.uploads.context import Context
from pp_server.waiting import finish
from pp_server.wire import batch as wire
from pp_server.wire.batch import BatchRequest, OperationResult, confirmed
from pp_server.wire.digest import Digest, digest_of
from pp_server.wire.errors import ErrorCode
from pp_server.wire.merkle import Tree
from pp_server.wire.messages import Metadata
from pp_server.wire.receipts import Signed, Words, listed
from pp_server.wire.times import iso
from pp_server.wire.trees import MAX_MOVE_TREE, Leaves, MovedTree, moved_words

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The operations that may be applied, by their place in the request; the others' results; what arrived."""

    operations: dict[int, Operation | MoveTree]
    refused: dict[int, OperationResult]
    contents: dict[Digest, memoryview]
    frames: dict[Digest, bytes]
    """Some of the contents as they came, if they came encoded."""


class Batches:
    """Use case of POST /api/batch. May be repeated: equal generations get equal receipts."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def aside(self, work: Callable[..., T], *args: object) -> T:
        """Run CPU-bound work around a batch in our threads."""
        return await self._context.blocking(work, *args)

    def check(self, caller: Caller, request: BatchRequest) -> int:
        """Return how many bytes of content follow.

        Raises:
            Forbidden: the key speaks for another host.
            TooLarge: the contents are too much for one batch.
        """
        if caller.host_id is not None and request.host != caller.host_id:
            raise Forbidden("This key speaks for another host")
        puts = (each for each in request.operations if isinstance(each, wire.Put))
        length = sum([put.file_size for put in puts if put.content == "inline"])
        if length > wire.MAX_BATCH_BYTES:
            raise TooLarge(f"The contents of a batch may have {wire.MAX_BATCH_BYTES} bytes together")
        return length

    def moved(self, request: BatchRequest) -> int:
        """Return how many entries of directories it may come to move."""
        counts = (each.count for each in request.operations if isinstance(each, wire.MoveTree))
        return min(sum(counts), MAX_MOVE_TREE)

    async def apply(
        self, caller: Caller, request: BatchRequest, body: AsyncIterator[bytes], frames: Mapping[int, bytes]
    ) -> bytes:
        """Apply the operations in order and return a `BatchAnswer` as JSON; what has a receipt in it is durable.

        *frames*, full once the body was read, are those of zstd that hold one content each, by where that begins.

        Raises:
            BodyWrongLength: more or fewer bytes follow than the operations name; nothing changed.
            StorageFull, StorageFailed, SyncFailed: nothing is acknowledged; the same batch may be sent again.
        """
        length = self.check(caller, request)
        if length:
            await self._context.check_room(length)
        puts = [each.path for each in request.operations if isinstance(each, wire.Put)]
        with self._context.arriving.announced(caller.owner_id, request.host, puts):
            data = await _whole(body, length)
            accepted = await self._context.blocking(_accepted, caller, request, data, frames)
            return await finish(self._apply(caller, request, accepted, puts))

    async def _apply(self, caller: Caller, request: BatchRequest, accepted: Accepted, puts: Sequence[bytes]) -> bytes:
        await self._check_held(caller, accepted)
        stored, known = await self._store(accepted.contents, accepted.frames)
        batch = Batch(
            caller.owner_id,
            request.host,
            request.hostname,
            list(accepted.operations.values()),
            stored,
            list(accepted.contents),
            self._context.arriving.besides(caller.owner_id, request.host, puts),
        )
        applied = await self._context.metadata.apply_batch(batch, self._context.now_ms())
        await self._context.metadata.add_counts(
            {
                "batches": 1,
                "bytes_received": sum(map(len, accepted.contents.values())),
                "bytes_duplicate": sum(len(accepted.contents[digest]) for digest in known),
            }
        )
        await self._log(applied)
        return await self._context.blocking(_answer, request, accepted, applied, self._context.receipts)

    async def _log(self, applied: Applied) -> None:
        """Return once everything that is about to be acknowledged is in the receipts log."""
        receipts = self._context.receipts
        await receipts.log(applied.new, {each.sequence for outcome in applied.outcomes for each in _versions(outcome)})
        for outcome in applied.outcomes:
            if outcome.moved is not None:
                await receipts.log_run(outcome.moved.first_sequence, outcome.moved.last_sequence)

    async def _check_held(self, caller: Caller, accepted: Accepted) -> None:
        """Let no operation count on content that is gone; its bytes are not looked at."""
        content, metadata = self._context.content, self._context.metadata
        named = {each.sha256 for each in accepted.operations.values() if isinstance(each, Put) and each.sha256}
        held = await metadata.held(caller.owner_id, named - accepted.contents.keys())
        blobs = await metadata.find_blobs(held)
        if await content.holds(tuple(extent for blob in blobs.values() for extent in blob.location)):
            return
        for digest, blob in blobs.items():
            if not await content.holds(blob.location):
                await self._context.put_aside(digest)

    async def _store(
        self, contents: dict[Digest, memoryview], frames: dict[Digest, bytes]
    ) -> tuple[list[Blob], set[Digest]]:
        """Make contents durable; return those that were stored now, and the digests of those that were there.

        What is there already counts only once its bytes were read and are right: we hold the content in our hands, and
        a damaged blob would not be noticed before somebody needs it.
        """
        content, metadata = self._context.content, self._context.metadata
        known = await metadata.find_blobs(contents.keys())
        for digest, blob in list(known.items()):
            if not await content.verify(digest, blob.location):
                await self._context.put_aside(digest)
                del known[digest]
        new = [(digest, data) for digest, data in contents.items() if digest not in known]
        locations = await content.put_many(new, frames) if new else []
        stored = [Blob(digest, len(data), at) for (digest, data), at in zip(new, locations, strict=True)]
        return stored, set(known)


async def _whole(body: AsyncIterator[bytes], length: int) -> bytearray:
    data = bytearray()
    async for piece in body:
        data += piece
        if len(data) > length:
            raise BodyWrongLength(f"The operations name {length} bytes of content; the body is longer")
    if len(data) < length:
        raise BodyWrongLength(f"The operations name {length} bytes of content; the body ended after {len(data)}")
    return data


def _accepted(caller: Caller, request: BatchRequest, data: bytearray, frames: Mapping[int, bytes]) -> Accepted:
    """Cut the body into contents, check each against its digest, and leave out what may not be applied."""
    operations: dict[int, Operation | MoveTree] = {}
    refused: dict[int, OperationResult] = {}
    contents: dict[Digest, memoryview] = {}
    encoded: dict[Digest, bytes] = {}
    view, start, moved = memoryview(data), 0, 0
    for number, asked in enumerate(request.operations):
        if isinstance(asked, wire.Put):
            if asked.content == "inline":
                content, frame = view[start : start + asked.file_size], frames.get(start)
                start += asked.file_size
                digest = digest_of(content)
                if digest != asked.sha256:
                    refused[number] = _refusal(ErrorCode.SHA256_MISMATCH, "The content is not what sha256 announces")
                    continue
                contents[digest] = content
                if frame is not None:
                    encoded[digest] = frame
        else:
            if isinstance(asked, wire.MoveTree):
                moved += asked.count
                if moved > MAX_MOVE_TREE:
                    detail = f"The directories that one batch moves may have {MAX_MOVE_TREE} entries together"
                    refused[number] = _refusal(ErrorCode.TOO_LARGE, detail)
                    continue
            if not isinstance(asked, wire.Attributes) and Scope.DELETE not in caller.scopes:
                refused[number] = _refusal(ErrorCode.FORBIDDEN, "This key lacks the scope delete")
                continue
        operations[number] = _operation(asked)
    return Accepted(operations, refused, contents, encoded)


def _refusal(code: ErrorCode, detail: str) -> OperationResult:
    return OperationResult(status="refused", code=code, detail=detail)


def _operation(asked: wire.Operation) -> Operation | MoveTree:
    match asked:
        case wire.Put():  # first: most are, and asking for another class costs more than all of the rest
            facts = _facts(asked, asked.target, asked.inconsistent)
            return Put(asked.path, asked.gen, facts, _digest(asked.sha256), asked.file_size)
        case wire.Delete():
            return Delete(asked.path, asked.gen, _digest(asked.sha256))
        case wire.Move():
            return Move(asked.path, asked.source_path, asked.gen, _facts(asked), _digest(asked.sha256))
        case wire.MoveTree():
            facts = _facts(asked)
            return MoveTree(asked.path, asked.source_path, asked.gen, facts, asked.count, Digest(asked.digest))
        case wire.Attributes():
            return Attributes(asked.path, asked.gen, _facts(asked), _digest(asked.sha256))


def _digest(text: str | None) -> Digest | None:
    return None if text is None else Digest(text)


def _facts(asked: Metadata, link_target: bytes | None = None, inconsistent: bool = False) -> Facts:
    uid, gid, user, group = asked.uid, asked.gid, asked.user, asked.group
    return Facts(asked.kind, asked.mtime_ns, asked.mode, uid, gid, user, group, link_target, inconsistent)


def _answer(request: BatchRequest, accepted: Accepted, applied: Applied, issuer: Issuer) -> bytes:
    """Return the answer as JSON, with the receipts and their proofs. CPU-bound for many."""
    new = {each.version.sequence: each for each in applied.new}
    told: list[list[Recorded]] = []
    leaves = Leaves()
    for outcome in applied.outcomes:
        versions = _versions(outcome)
        said = [new.get(each.sequence) or recorded(each, applied.whose, request.hostname) for each in versions]
        told.append(said)
        for each in said:
            leaves.add_leaf(each.version.sequence, each.leaf)
        if outcome.moved is not None:
            for words in _moved_words(outcome.moved, applied.whose):
                leaves.add(words)
    signed = issuer.sign(Tree(leaves.hashes), request.paths) if leaves.hashes else None
    results = {number: refused.model_dump_json().encode() for number, refused in accepted.refused.items()}
    for number, outcome, said in zip(accepted.operations, applied.outcomes, told, strict=True):
        results[number] = _result(outcome, said, leaves, signed)
    return b'{"results":[%b]}' % b",".join([results[number] for number in range(len(request.operations))])


def _versions(outcome: Outcome) -> tuple[Version, ...]:
    """Return what comes with receipts: of a move its tombstone first."""
    verdict, version, source = outcome.verdict, outcome.version, outcome.source
    if version is None or (verdict is not Verdict.STORED and verdict is not Verdict.DELETED):
        return ()
    return (version,) if source is None else (source, version)


def _moved_words(moved: Moved, whose: Whose) -> Iterator[Words]:
    """Yield what the receipts of a directory that moved say; they are not listed anywhere."""
    names = (whose.server_id, whose.owner, whose.host_id, moved.order.source, moved.order.path, moved.order.gen)
    return moved_words(MovedTree(*names, moved.first_sequence, iso(moved.stored_ms)), moved.entries)


def _result(outcome: Outcome, said: Sequence[Recorded], leaves: Leaves, signed: Signed | None) -> bytes:
    """Return a result as JSON, with the receipts of *said*."""
    if said and signed is not None:
        proven = [
            listed(each.words, signed.proof_json(leaves.place(each.version.sequence)), each.nulls) for each in said
        ]
        return confirmed(outcome.verdict.value, proven[-1], *proven[:-1])
    result: dict[str, object] = {"status": outcome.verdict.value, "gen": outcome.gen}
    if signed is not None and (moved := outcome.moved) is not None:
        result |= {
            "count": len(moved.entries),
            "first_sequence": moved.first_sequence,
            "stored_at": iso(moved.stored_ms),
            "proof": signed.proof(leaves.place(moved.first_sequence)),
        }
    return OperationResult.model_validate(result).model_dump_json().encode()
