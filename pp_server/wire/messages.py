"""Requests and answers of the upload protocol. `docs/protocol.md` shows each of them.

A server ignores fields it does not know (older clients send more than we ask for); a client does the same with answers.
"""

import unicodedata
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, GetPydanticSchema, model_validator
from pydantic_core import core_schema

from pp_server.wire.chunks import MAX_CHUNK_BYTES, MIN_CHUNK_BYTES
from pp_server.wire.names import from_json
from pp_server.wire.receipts import Receipt

MAX_INT = 2**53 - 1
"""The largest integer every JSON reader keeps exact."""

MAX_DELETIONS = 1000
"""Deletions in one request."""

MAX_LISTED = 1000
"""Rows of one page of a listing."""

MAX_LISTED_URLS = 1000
"""`chunk_urls` stays empty for uploads with more chunks: build the URLs instead."""

MAX_SPANS = 4096
"""Ranges of bytes that a new version shares with what it is based on."""

_SHA256 = core_schema.custom_error_schema(
    core_schema.str_schema(pattern=r"^[0-9a-f]{64}$"),
    custom_error_type="digest",
    custom_error_message="must be 64 lower-case hexadecimal digits",
)
Sha256 = Annotated[str, GetPydanticSchema(lambda _source, _handler: _SHA256)]
"""As `parse_digest`; said as a pattern, because a batch has thousands."""
Count = Annotated[int, Field(ge=0, le=MAX_INT, strict=True)]
Label = Annotated[str, Field(max_length=255)]


def _readable(text: str) -> str:
    if any(unicodedata.category(each) == "Cc" for each in text):
        raise ValueError("must not hold control characters")
    return text


HostLabel = Annotated[Label, AfterValidator(_readable)]
"""Of a host that may begin with this request; where one is only named, whatever is known already is fine."""

Kind = Literal["file", "dir", "symlink"]


class Message(BaseModel):
    """Base of all messages: immutable, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Named(Message):
    """A message about one path of one host."""

    filepath: str
    filepath_b64: str | None = None
    hostname: Label = ""
    host_id: Label | None = None
    """Random id made in the daemon's state directory. Clients that send only `hostname` get a host named so."""

    @model_validator(mode="after")
    def _path_is_bytes(self) -> Self:
        from_json(self.filepath, self.filepath_b64)
        return self

    @property
    def path(self) -> bytes:
        """The path's bytes."""
        return from_json(self.filepath, self.filepath_b64)

    @property
    def host(self) -> str:
        """The host's identity: its id, or its name where it has none."""
        return self.host_id if self.host_id is not None else self.hostname


class Metadata(Message):
    """What a restore needs besides the bytes."""

    kind: Kind = "file"
    mtime_ns: Annotated[int, Field(ge=-(2**63), lt=2**63, strict=True)] | None = None
    mode: Annotated[int, Field(ge=0, le=0o7777, strict=True)] | None = None
    """Permission bits, without the file type."""
    uid: Annotated[int, Field(ge=0, lt=2**32, strict=True)] | None = None
    gid: Annotated[int, Field(ge=0, lt=2**32, strict=True)] | None = None
    user: Label | None = None
    group: Label | None = None


class Base(Message):
    """Content that the owner has on the server, and where a new version is the same."""

    sha256: Sha256
    same: Annotated[list[tuple[Count, Count]], Field(max_length=MAX_SPANS)]
    """Inclusive ranges of bytes, the same in both at the same offset; ascending, none touching the next."""

    @model_validator(mode="after")
    def _spans_ascend(self) -> Self:
        end = -1
        for first, last in self.same:
            if not end < first <= last:
                raise ValueError("same must be ascending ranges that do not touch")
            end = last + 1
        return self


class InitiateRequest(Named, Metadata):
    """POST /api/uploads/initiate"""

    hostname: HostLabel = ""
    host_id: HostLabel | None = None
    sha256: Sha256 | None = None
    """None only from clients that learn it while sending; they give it at complete."""
    file_size: Count
    chunk_size: Annotated[int, Field(ge=1, le=MAX_INT, strict=True)] | None = None
    """With it (or `total_chunks`) a client gets exactly that geometry."""
    total_chunks: Count | None = None
    max_chunk_size: Annotated[int, Field(ge=MIN_CHUNK_BYTES, le=MAX_CHUNK_BYTES, strict=True)] | None = None
    """The largest chunk the client is willing to send; the server chooses."""
    gen: Count | None = None
    """Generation of this version on its host. None (older clients) counts as the newest at its arrival."""
    base: Base | None = None
    """What the server may copy instead of having it sent."""
    inconsistent: Annotated[bool, Field(strict=True)] = False
    """The file never came to rest while it was read: its bytes may mix several moments."""
    ip_address: Label | None = None


class InitiateAnswer(Message):
    """201"""

    upload_id: str
    expires_at: str
    chunk_urls: list[str]
    message: str
    chunk_size: int
    total_chunks: int
    missing: list[tuple[int, int]]
    """Inclusive ranges. Empty: send nothing, just complete."""


class ChunkAnswer(Message):
    """PUT /api/uploads/{upload_id}/chunk/{n} → 200"""

    chunk_num: int
    etag: str
    """SHA-256 of the chunk."""
    received_bytes: int
    """0 where the chunk had been recorded before."""
    uploaded_chunks: int
    total_chunks: int


class Part(Message):
    """One chunk as the client remembers it."""

    chunk_num: Count
    etag: Annotated[str, Field(max_length=256)]


class CompleteRequest(Message):
    """POST /api/uploads/{upload_id}/complete; the whole body is optional."""

    parts: Annotated[list[Part] | None, FailFast()] = None
    sha256: Sha256 | None = None


class CompleteAnswer(Message):
    """200, only once everything named in the receipt is durable."""

    file_id: str
    sha256: str
    file_size: int
    status: Literal["completed"]
    storage_location: str
    receipt: Receipt


class UploadedChunk(Message):
    """One recorded chunk, listed with `?chunks=1`."""

    chunk_num: int
    etag: str
    uploaded_at: str


class UploadStatus(Message):
    """GET /api/uploads/{upload_id}"""

    upload_id: str
    status: Literal["initiated", "uploading", "completed", "aborted", "expired"]
    chunk_size: int
    total_chunks: int
    missing: list[tuple[int, int]]
    uploaded_chunks: list[UploadedChunk] | None = None
    uploaded_count: int
    storage_backend: str
    storage_location: str | None
    expires_at: str
    created_at: str
    completed_at: str | None


class AbortAnswer(Message):
    """DELETE /api/uploads/{upload_id} → 200"""

    upload_id: str
    status: Literal["aborted"]
    chunks_uploaded: int
    chunks_deleted: int


class DeleteRequest(Message):
    """Body of DELETE /api/files/{sha256}; optional as a whole, for clients that send none."""

    filepath: str | None = None
    filepath_b64: str | None = None
    hostname: Label = ""
    host_id: Label | None = None
    gen: Count | None = None
    deleted_at: Annotated[str, Field(max_length=64)] | None = None


class Deletion(Named):
    """One path that is gone from its host."""

    sha256: Sha256
    gen: Count | None = None
    deleted_at: Annotated[str, Field(max_length=64)] | None = None


class DeletionsRequest(Message):
    """POST /api/files/deletions"""

    files: Annotated[list[Deletion], Field(max_length=MAX_DELETIONS), FailFast()]


class DeletionResult(Message):
    """What became of one deletion. `stale`: the server knows a newer generation (`gen`) and changed nothing."""

    filepath: str
    filepath_b64: str | None = None
    hostname: str
    host_id: str
    sha256: str
    status: Literal["deleted", "not_found", "stale"]
    deleted_at: str | None = None
    gen: int | None = None


class DeletionsAnswer(Message):
    """One result per deletion, in the order sent."""

    results: list[DeletionResult]
    deleted: int
    not_found: int


class ListedFile(Message):
    """One live path of the owner."""

    filepath: str
    filepath_b64: str | None = None
    hostname: str
    host_id: str
    kind: Kind
    sha256: str | None
    file_size: int
    gen: int
    mtime: str | None
    mtime_ns: int | None
    mode: int | None
    link_target: str | None = None
    link_target_b64: str | None = None
    inconsistent: bool = False
    stored_at: str


class FileListing(Message):
    """GET /api/files. `next` goes back as `after`, and is None on the last page."""

    files: list[ListedFile]
    total: int
    limit: int
    offset: int
    next: str | None


class HostAnswer(Message):
    """GET /api/hosts/{host_id}: where a host's generations stand, for a daemon that lost its memory."""

    host_id: str
    hostname: str
    highest_gen: int
    shared: bool = False
    """Another daemon, older than the one that asks, takes turns with it as this host: a state directory was copied."""


class VersionAnswer(Message):
    """GET /api/version"""

    version: str
    protocol: int
    server_id: str | None = None
    """The server's identity, as in its receipts: those of another server do not count for this one."""
    features: list[str]
    limits: dict[str, Any]
