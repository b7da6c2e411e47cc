"""Error codes: stable words that programs may rely on. They are never renamed."""

from enum import StrEnum

from pydantic import BaseModel


class ErrorCode(StrEnum):
    """Why a request was refused. The HTTP status says who must act; the code says what happened."""

    INVALID_REQUEST = "invalid_request"
    NOT_ALL_CHUNKS_UPLOADED = "not_all_chunks_uploaded"
    SHA256_MISMATCH = "sha256_mismatch"
    UNKNOWN_CHUNK = "unknown_chunk"
    ETAG_MISMATCH = "etag_mismatch"
    CHUNK_OUT_OF_RANGE = "chunk_out_of_range"
    CHUNK_WRONG_LENGTH = "chunk_wrong_length"
    BODY_DAMAGED = "body_damaged"
    BODY_WRONG_LENGTH = "body_wrong_length"
    RATE_LIMITED = "rate_limited"
    CHUNK_CONFLICT = "chunk_conflict"
    CHUNK_SUPERSEDED = "chunk_superseded"
    GEOMETRY = "geometry"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    UNSUPPORTED_KIND = "unsupported_kind"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UPLOAD_NOT_FOUND = "upload_not_found"
    UPLOAD_EXPIRED = "upload_expired"
    UPLOAD_ABORTED = "upload_aborted"
    ALREADY_COMPLETED = "already_completed"
    FILE_NOT_FOUND = "file_not_found"
    STALE = "stale"
    RANGE_NOT_SATISFIABLE = "range_not_satisfiable"
    OVERLOADED = "overloaded"
    STORAGE_FULL = "storage_full"
    STORAGE_FAILED = "storage_failed"
    INTERNAL = "internal"


class FieldProblem(BaseModel):
    """One field of a request that was refused."""

    field: str
    message: str


class Problem(BaseModel):
    """The body of every error answer. Some codes add fields: `missing` (ranges), `gen` (the server's generation),
    `upload` (where the upload stands that this is about)."""

    detail: str
    code: str
    request_id: str
    errors: list[FieldProblem] | None = None
