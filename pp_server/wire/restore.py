"""Getting much back at once: everything below a path, line by line, and many small contents in one answer.

Both answers are streams that say where they end, so that one that was cut is never taken for whole.
"""

from typing import Annotated

from pydantic import FailFast, Field

from pp_server.wire.messages import Kind, Message, Sha256

TREE_TYPE = "application/x-ndjson"
"""GET /api/tree: one `TreeEntry` per line, in order of (host, path), and a `TreeEnd`."""

CONTENTS_TYPE = "application/vnd.putplace.contents"
"""POST /api/contents: for each content, in any order, a `ContentHead` as a line and the bytes; then a `ContentsEnd`."""

MAX_CONTENTS = 4096
"""Digests of one request."""

MAX_CONTENT_BYTES = 256 * 1024
"""Larger contents are fetched one by one, by ranges: GET /api/files/{sha256}/content."""

LONGEST_LINE_BYTES = 128 * 1024
"""Of both streams: a path and a target, each in plain and in base64, and some numbers."""


class TreeEntry(Message):
    """A path with all that is needed to make it again."""

    filepath: str
    filepath_b64: str | None = None
    hostname: str
    host_id: str
    kind: Kind
    gen: int
    sha256: Sha256 | None = None
    file_size: int = 0
    link_target: str | None = None
    link_target_b64: str | None = None
    mtime_ns: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    user: str | None = None
    group: str | None = None
    inconsistent: bool = False
    status: str | None = None
    """With `show` and `at` only, as the two times: active, superseded, or deleted."""
    stored_at: str | None = None
    deleted_at: str | None = None


class TreeEnd(Message):
    """The last line."""

    entries: int


class ContentsRequest(Message):
    """POST /api/contents"""

    sha256: Annotated[list[Sha256], Field(min_length=1, max_length=MAX_CONTENTS), FailFast()]


class ContentHead(Message):
    """What stands before a content. *size* None: there is none to be had here (unknown, damaged, or too large)."""

    sha256: Sha256
    size: int | None


class ContentsEnd(Message):
    """The last line: as many heads came before it as different digests were asked for."""

    contents: int
