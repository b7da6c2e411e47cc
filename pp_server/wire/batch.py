"""POST /api/batch: many small operations in one request, applied in order and in one transaction.

The body is one line of JSON, a `BatchRequest`, ended by a newline; after it come the contents of the `put` operations
whose `content` is `inline`, in order, each exactly `file_size` bytes, and nothing else.
"""

from typing import Annotated, Literal, Self

from pydantic import FailFast, Field, model_validator

from pp_server.wire.messages import MAX_INT, Count, HostLabel, Message, Metadata, Sha256
from pp_server.wire.names import from_json
from pp_server.wire.receipts import Proof, Receipt, ReceiptKey
from pp_server.wire.trees import is_beneath

CONTENT_TYPE = "application/vnd.putplace.batch"

MAX_OPERATIONS = 4096
"""Operations of one batch."""

MAX_INLINE_BYTES = 256 * 1024
"""Content of one `put`; larger files are uploaded by chunks."""

MAX_BATCH_BYTES = 16 * 1024 * 1024
"""Inline content of one batch, all together."""

MAX_HEAD_BYTES = 8 * 1024 * 1024
"""The line of JSON."""

MAX_HASHES = 4096
"""Digests of one question."""

MAX_VERIFIED = 100
"""Digests of one request to hash content again."""


class OnPath(Message):
    """An operation on one path of the batch's host."""

    filepath: str
    filepath_b64: str | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self._check()
        return self

    def _check(self) -> None:
        """Raise ValueError where the fields do not go together."""
        from_json(self.filepath, self.filepath_b64)

    @property
    def path(self) -> bytes:
        """The path's bytes."""
        return from_json(self.filepath, self.filepath_b64)


class Put(OnPath, Metadata):
    """A new version of a path: a file's content, a directory, or a symbolic link."""

    op: Literal["put"]
    gen: Count | None = None
    """As in initiate: None counts as the newest at its arrival."""
    sha256: Sha256 | None = None
    file_size: Count = 0
    content: Literal["inline", "held"] | None = None
    """For files: `inline`, the bytes follow; `held`, the owner has this content on the server, no bytes follow."""
    link_target: str | None = None
    link_target_b64: str | None = None
    inconsistent: Annotated[bool, Field(strict=True)] = False
    """As in initiate."""

    def _check(self) -> None:
        from_json(self.filepath, self.filepath_b64)
        is_file, is_link = self.kind == "file", self.kind == "symlink"
        if (self.sha256 is not None) != is_file or (self.content is not None) != is_file:
            raise ValueError("a file needs sha256 and content, anything else has neither")
        if not is_file and (self.file_size or self.inconsistent):
            raise ValueError("only files have a size, or are inconsistent")
        if is_link != (self.link_target is not None or self.link_target_b64 is not None):
            raise ValueError("a symlink needs link_target, anything else has none")
        if is_link:
            from_json(self.link_target or "", self.link_target_b64)
        if self.content == "inline" and self.file_size > MAX_INLINE_BYTES:
            raise ValueError(f"inline content may have {MAX_INLINE_BYTES} bytes: upload it by chunks")

    @property
    def target(self) -> bytes | None:
        """What a symbolic link points to."""
        return from_json(self.link_target or "", self.link_target_b64) if self.kind == "symlink" else None


class Delete(OnPath):
    """A path that is gone from its host."""

    op: Literal["delete"]
    gen: Count
    sha256: Sha256 | None = None


class Move(OnPath, Metadata):
    """What was at `source` is at `filepath` now, with the same content; facts that are given replace the old ones."""

    op: Literal["move"]
    gen: Count
    """Of both: the tombstone at `source` and the version at `filepath`."""
    source: str
    source_b64: str | None = None
    sha256: Sha256 | None = None
    """What `source` holds; where given and different, nothing is moved."""

    def _check(self) -> None:
        if self.source_path == self.path:
            raise ValueError("source and filepath are the same")

    @property
    def source_path(self) -> bytes:
        """The bytes of the path it was at."""
        return from_json(self.source, self.source_b64)


class MoveTree(OnPath, Metadata):
    """The directory at `source` is at `filepath` now, with everything that is live below it.

    Facts that are given replace those of the directory's own entry.
    """

    op: Literal["move_tree"]
    gen: Count
    """Of all tombstones below `source` and all versions below `filepath`."""
    source: str
    source_b64: str | None = None
    count: Annotated[int, Field(ge=1, le=MAX_INT, strict=True)]
    """How many entries the client takes to be live at `source` and below it."""
    digest: Sha256
    """Which ones: `pp_server.wire.trees.tree_digest`."""

    def _check(self) -> None:
        source, path = self.source_path, self.path
        if source.endswith(b"/") or path.endswith(b"/"):
            raise ValueError("source and filepath end without a slash")
        if is_beneath(path, source) or is_beneath(source, path):
            raise ValueError("source and filepath are the same, or one is beneath the other")

    @property
    def source_path(self) -> bytes:
        """The bytes of the path it was at."""
        return from_json(self.source, self.source_b64)


class Attributes(OnPath, Metadata):
    """The content stays; facts that are given (mode, mtime, owner) replace the old ones."""

    op: Literal["attributes"]
    gen: Count
    sha256: Sha256 | None = None
    """What the path holds; where given and different, nothing is changed."""


Operation = Annotated[Put | Delete | Move | MoveTree | Attributes, Field(discriminator="op")]


class BatchRequest(Message):
    """The first line of POST /api/batch."""

    hostname: HostLabel = ""
    host_id: HostLabel | None = None
    paths: bool = True
    """False: receipts come without the paths of their proofs, because the client has all leaves and builds the tree."""
    operations: Annotated[list[Operation], Field(min_length=1, max_length=MAX_OPERATIONS), FailFast()]

    @property
    def host(self) -> str:
        """The host's identity: its id, or its name where it has none."""
        return self.host_id if self.host_id is not None else self.hostname


class OperationResult(Message):
    """What became of one operation.

    `stored` and `deleted` come with a receipt, `stored` of a moved tree with what makes its receipts. `missing`: the
    content is not held for this owner, send it. `stale`: the path is at generation `gen` already. `not_found`: there is
    nothing to delete, move or change. `conflict`: of a tree, it is not as the client thinks. `refused`: see `code` and
    `detail`. All but the first two have changed nothing.
    """

    status: Literal["stored", "deleted", "missing", "stale", "not_found", "conflict", "refused"]
    receipt: Receipt | None = None
    source_receipt: Receipt | None = None
    """Of a move: the tombstone at `source`."""
    gen: int | None = None
    code: str | None = None
    detail: str | None = None
    count: int | None = None
    """Of a moved tree, as the rest: entries, each with two receipts, `pp_server.wire.trees.moved_receipts`."""
    first_sequence: int | None = None
    stored_at: str | None = None
    proof: Proof | None = None
    """That of the first of these receipts; the others stand after it in the same tree."""


class BatchAnswer(Message):
    """200, only once everything named in a receipt is durable: one result per operation, in the same order."""

    results: list[OperationResult]


def confirmed(status: str, receipt: bytes, source: bytes = b"null") -> bytes:
    """Return the JSON of a result with its receipts, which are JSON themselves: a batch has thousands of them."""
    return b'{"status":"%b","receipt":%b,"source_receipt":%b%b}' % (status.encode(), receipt, source, _NULLS)


_NULLS = "".join(
    f',"{name}":null' for name in OperationResult.model_fields if name not in ("status", "receipt", "source_receipt")
).encode()


class HeldRequest(Message):
    """POST /api/files/held"""

    sha256: Annotated[list[Sha256], Field(max_length=MAX_HASHES), FailFast()]


class HeldAnswer(Message):
    """Those of the digests asked for whose content the server holds for the caller's owner."""

    held: list[str]


class VerifyRequest(Message):
    """POST /api/files/verify"""

    sha256: Annotated[list[Sha256], Field(min_length=1, max_length=MAX_VERIFIED), FailFast()]
    nonce: Annotated[str, Field(pattern=r"^([0-9a-f]{2}){1,64}$")] | None = None
    """Hexadecimal. With it the answer holds SHA-256(nonce + content), which only who has the content can know."""


class VerifyResult(Message):
    """What the stored bytes of one digest are, read and hashed just now."""

    sha256: str
    status: Literal["intact", "damaged", "not_found"]
    file_size: int | None = None
    proof: str | None = None


class VerifyAnswer(Message):
    """One result per digest, in order."""

    results: list[VerifyResult]


class ReceiptKeysAnswer(Message):
    """GET /api/receipts/key. The first key signs today; others have signed before."""

    keys: list[ReceiptKey]
