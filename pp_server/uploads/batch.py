"""Batches: many small operations, one append to a pack, one transaction, one line in the receipts log."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pp_server.core.errors import BodyWrongLength, Forbidden, TooLarge
from pp_server.core.extents import Blob
from pp_server.core.model import Caller, Facts, Scope
from pp_server.core.trees import MoveTree
from pp_server.core.versions import Attributes, Delete, Move, Operation, Outcome, Put, Verdict, Whose, receipt_of
from pp_server.metadata.base import Applied, Batch
from pp_server.receipts.issuer import Issuer
from pp_server.uploads.context import Context
from pp_server.waiting import finish
from pp_server.wire import batch as wire
from pp_server.wire.batch import BatchAnswer, BatchRequest, OperationResult
from pp_server.wire.digest import Digest, digest_of
from pp_server.wire.errors import ErrorCode
from pp_server.wire.merkle import Tree
from pp_server.wire.messages import Metadata
from pp_server.wire.receipts import Receipt, Signed, Words
from pp_server.wire.times import iso
from pp_server.wire.trees import MAX_MOVE_TREE, Leaves, MovedTree, moved_words

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The operations that may be applied, by their place in the request; the others' results; what arrived."""

    operations: dict[int, Operation | MoveTree]
    refused: dict[int, OperationResult]
    contents: dict[Digest, bytes]


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
        length = sum(map(_inline_bytes, request.operations))
        if length > wire.MAX_BATCH_BYTES:
            raise TooLarge(f"The contents of a batch may have {wire.MAX_BATCH_BYTES} bytes together")
        return length

    def moved(self, request: BatchRequest) -> int:
        """Return how many entries of directories it may come to move."""
        counts = (each.count for each in request.operations if isinstance(each, wire.MoveTree))
        return min(sum(counts), MAX_MOVE_TREE)

    async def apply(self, caller: Caller, request: BatchRequest, body: AsyncIterator[bytes]) -> BatchAnswer:
        """Apply the operations in order; what has a receipt is durable when this returns.

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
            accepted = await self._context.blocking(_accepted, caller, request, data)
            return await finish(self._apply(caller, request, accepted, puts))

    async def _apply(
        self, caller: Caller, request: BatchRequest, accepted: Accepted, puts: Sequence[bytes]
    ) -> BatchAnswer:
        await self._check_held(caller, accepted)
        stored, known = await self._store(accepted.contents)
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
        given = [outcome for outcome in applied.outcomes if outcome.verdict in _GIVEN]
        versions = (version for outcome in given for version in (outcome.source, outcome.version))
        await receipts.log(applied.new, {version.sequence for version in versions if version is not None})
        for outcome in given:
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

    async def _store(self, contents: dict[Digest, bytes]) -> tuple[list[Blob], set[Digest]]:
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
        locations = await content.put_many(new) if new else []
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


def _inline_bytes(operation: wire.Operation) -> int:
    return operation.file_size if isinstance(operation, wire.Put) and operation.content == "inline" else 0


def _accepted(caller: Caller, request: BatchRequest, data: bytearray) -> Accepted:
    """Cut the body into contents, check each against its digest, and leave out what may not be applied."""
    operations: dict[int, Operation | MoveTree] = {}
    refused: dict[int, OperationResult] = {}
    contents: dict[Digest, bytes] = {}
    view, start, moved = memoryview(data), 0, 0
    for number, asked in enumerate(request.operations):
        if isinstance(asked, wire.Put) and asked.content == "inline":
            content = bytes(view[start : start + asked.file_size])
            start += asked.file_size
            digest = digest_of(content)
            if digest != asked.sha256:
                refused[number] = _refusal(ErrorCode.SHA256_MISMATCH, "The content is not what sha256 announces")
                continue
            contents[digest] = content
        if isinstance(asked, wire.MoveTree):
            moved += asked.count
            if moved > MAX_MOVE_TREE:
                detail = f"The directories that one batch moves may have {MAX_MOVE_TREE} entries together"
                refused[number] = _refusal(ErrorCode.TOO_LARGE, detail)
                continue
        if isinstance(asked, wire.Delete | wire.Move | wire.MoveTree) and Scope.DELETE not in caller.scopes:
            refused[number] = _refusal(ErrorCode.FORBIDDEN, "This key lacks the scope delete")
            continue
        operations[number] = _operation(asked)
    return Accepted(operations, refused, contents)


def _refusal(code: ErrorCode, detail: str) -> OperationResult:
    return OperationResult(status="refused", code=code, detail=detail)


def _operation(asked: wire.Operation) -> Operation | MoveTree:
    if isinstance(asked, wire.MoveTree):
        facts = _facts(asked)
        return MoveTree(asked.path, asked.source_path, asked.gen, facts, asked.count, Digest(asked.digest))
    digest = None if asked.sha256 is None else Digest(asked.sha256)
    match asked:
        case wire.Put():
            facts = replace(_facts(asked), link_target=asked.target, inconsistent=asked.inconsistent)
            return Put(asked.path, asked.gen, facts, digest, asked.file_size)
        case wire.Delete():
            return Delete(asked.path, asked.gen, digest)
        case wire.Move():
            return Move(asked.path, asked.source_path, asked.gen, _facts(asked), digest)
        case wire.Attributes():
            return Attributes(asked.path, asked.gen, _facts(asked), digest)


def _facts(asked: Metadata) -> Facts:
    return Facts(asked.kind, asked.mtime_ns, asked.mode, asked.uid, asked.gid, asked.user, asked.group)


def _answer(request: BatchRequest, accepted: Accepted, applied: Applied, issuer: Issuer) -> BatchAnswer:
    """Return the results, with the receipts and their proofs. CPU-bound for many."""
    given = {number: _receipts(outcome, applied.whose) for number, outcome in enumerate(applied.outcomes)}
    leaves = Leaves()
    for outcome, receipts in zip(applied.outcomes, given.values(), strict=True):
        for receipt in receipts or _moved_receipts(outcome, applied.whose):
            leaves.add(receipt)
    signed = issuer.sign(Tree(leaves.hashes), request.paths) if leaves.hashes else None
    results = dict(accepted.refused)
    for place, (number, outcome) in enumerate(zip(accepted.operations, applied.outcomes, strict=True)):
        results[number] = _result(outcome, given[place], leaves, signed)
    return BatchAnswer(results=[results[number] for number in range(len(request.operations))])


_GIVEN = (Verdict.STORED, Verdict.DELETED)
"""What comes with receipts."""


def _receipts(outcome: Outcome, whose: Whose) -> list[Receipt]:
    """Return the receipts that are listed in a result: of a move its tombstone first."""
    if outcome.verdict not in _GIVEN:
        return []
    return [receipt_of(version, whose) for version in (outcome.source, outcome.version) if version is not None]


def _moved_receipts(outcome: Outcome, whose: Whose) -> Iterator[Words]:
    """Yield what the receipts of a directory that moved say; they are not listed anywhere."""
    if outcome.moved is not None:
        order, moved = outcome.moved.order, outcome.moved
        names = (whose.server_id, whose.owner, whose.host_id, order.source, order.path, order.gen)
        yield from moved_words(MovedTree(*names, moved.first_sequence, iso(moved.stored_ms)), moved.entries)


def _result(outcome: Outcome, receipts: Sequence[Receipt], leaves: Leaves, signed: Signed | None) -> OperationResult:
    result: dict[str, object] = {"status": outcome.verdict.value}
    if outcome.verdict not in _GIVEN or signed is None:
        return OperationResult.model_validate(result | {"gen": outcome.gen})
    if (moved := outcome.moved) is not None:
        result |= {
            "count": len(moved.entries),
            "first_sequence": moved.first_sequence,
            "stored_at": iso(moved.stored_ms),
        }
        return OperationResult.model_validate(result | {"proof": signed.proof(leaves.place(moved.first_sequence))})
    proven = [each.model_copy(update={"proof": signed.proof(leaves.place(each.sequence))}) for each in receipts]
    if outcome.source is not None:
        result["source_receipt"] = proven[0]
    return OperationResult.model_validate(result | {"receipt": proven[-1]})
