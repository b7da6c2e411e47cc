"""Everything the server refuses or fails to do. `api/problems.py` maps each class to a status and a stable code."""

from collections.abc import Sequence
from dataclasses import dataclass

from pp_server.wire.chunks import Range


@dataclass(frozen=True, slots=True)
class UploadState:
    """Where an upload stands, for the client to go on from."""

    status: str
    missing: tuple[Range, ...]
    uploaded_count: int
    total_chunks: int


class ServerError(Exception):
    """Base of all domain errors. The message is shown to the client: no paths, SQL or secrets in it."""

    upload: UploadState | None = None
    """The upload it is about, as it is when the error is answered; None where there is none."""


class InvalidRequest(ServerError):
    """The request cannot be meant as it is; *problems* names the fields."""

    def __init__(self, detail: str, problems: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.problems = tuple(problems)


class MalformedDigest(ServerError):
    """A digest in a URL is not one."""


class BodyTooLarge(ServerError):
    """The body is larger than this request may have."""


class UnsupportedEncoding(ServerError):
    """The body is compressed."""


class UrlTooLong(ServerError):
    """The URL is longer than any of ours."""


class BadGeometry(ServerError):
    """Size, chunk size and number of chunks do not fit together."""


class TooLarge(ServerError):
    """The chunks asked for are too small, too large or too many."""


class UnsupportedKind(ServerError):
    """This server does not take this kind of thing yet."""


class Unauthorized(ServerError):
    """No key, or not a good one."""


class Forbidden(ServerError):
    """A good key that may not do this."""


class UploadNotFound(ServerError):
    """No such upload, or not this owner's: the two are told apart by nothing."""


class UploadExpired(ServerError):
    """The upload stood still for too long."""


class UploadAborted(ServerError):
    """The upload was given up."""


class AlreadyCompleted(ServerError):
    """The upload's content is stored."""


class ChunkOutOfRange(ServerError):
    """The upload has no chunk of that number."""


class ChunkWrongLength(ServerError):
    """The body is not as long as this chunk."""


class BodyDamaged(ServerError):
    """The body is not what its Content-Encoding says."""


class BodyWrongLength(ServerError):
    """More or fewer bytes came than the request itself says."""


class RateLimited(ServerError):
    """Asked for more than is given in a while; *retry_after_s* says when to ask again."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ChunkConflict(ServerError):
    """Other bytes are recorded for this chunk."""


class ChunkSuperseded(ServerError):
    """A newer request for the same chunk took over."""


class ChunkDamaged(ServerError):
    """The body is not what its Content-Digest announces."""


class NotAllChunks(ServerError):
    """Some chunks are not there, or not intact."""

    def __init__(self, missing: Sequence[Range]) -> None:
        super().__init__("Not all chunks uploaded")
        self.missing = tuple(missing)


class DigestMismatch(ServerError):
    """All chunks are intact, and together they are another file than announced."""


class UnknownPart(ServerError):
    """`parts` names a chunk that was not uploaded."""


class EtagMismatch(ServerError):
    """`parts` and the recorded chunks disagree."""


class StaleGeneration(ServerError):
    """The server knows this path in generation *gen* already."""

    def __init__(self, gen: int) -> None:
        super().__init__("A newer generation of this path is known")
        self.gen = gen


class FileNotFound(ServerError):
    """No such file, or not this owner's."""


class HostNotFound(ServerError):
    """No such host, or not this owner's."""


class RangeNotSatisfiable(ServerError):
    """The range asked for lies outside the file."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__("The range lies outside the file")
        self.size_bytes = size_bytes


class Overloaded(ServerError):
    """More is being asked than there is room for in memory; a moment later there may be."""


class StorageFull(ServerError):
    """No room on disk. Nothing was changed."""


class StorageFailed(ServerError):
    """The disk or the database failed. Nothing was acknowledged."""


class SyncFailed(StorageFailed):
    """An fsync failed: what the file holds on disk is unknown, and asking again would not tell."""


class ContentDamaged(StorageFailed):
    """Stored bytes are no longer the ones that were stored."""


class StartRefused(ServerError):
    """The server will not start on this data directory; the message says why."""


class AdminError(Exception):
    """An administrative command cannot be done as asked; the message says why, to whoever gave it."""
