"""Watched folders, those that could be, what is left out, and held deletions."""

from typing import Any, NotRequired

from typing_extensions import TypedDict

from pp_assist.api.answers.common import CodeAndText, Time, exact


@exact
class RuleProblem(TypedDict):
    """A line of a `.ppignore` that means nothing."""

    source: str
    line: int | None
    pattern: str | None
    text: str


@exact
class Path(TypedDict):
    """A watched folder."""

    id: int
    path: str
    path_b64: NotRequired[str]
    recursive: bool
    enabled: bool
    created_at: Time
    last_scanned_at: Time | None
    file_count: int
    policy: str
    exclude: list[str]
    status: str
    reason: str | None
    sftp: NotRequired[dict[str, Any]]
    rule_problems: list[RuleProblem]


@exact
class Paths(TypedDict):
    """GET /paths"""

    paths: list[Path]
    total: int


@exact
class Place(TypedDict):
    """A path."""

    path: str
    path_b64: NotRequired[str]


@exact
class Folder(TypedDict):
    """A folder that may be chosen."""

    name: str
    name_b64: NotRequired[str]
    path: str
    path_b64: NotRequired[str]
    kind: str
    can_add: bool
    why_not: CodeAndText | None


@exact
class Folders(TypedDict):
    """GET /folders"""

    path: str | None
    path_b64: NotRequired[str]
    parent: Place | None
    can_add: bool
    why_not: CodeAndText | None
    folders: list[Folder]
    next: str | None
    total: int
    truncated: bool


@exact
class Scan(TypedDict):
    """POST /scan/trigger"""

    status: str
    scan_id: int
    paths: list[str]
    force: bool


@exact
class Exclude(TypedDict):
    """A pattern that is left out everywhere."""

    id: int
    pattern: str
    created_at: Time


@exact
class Excludes(TypedDict):
    """GET /excludes"""

    patterns: list[Exclude]
    total: int


@exact
class Preview(TypedDict):
    """What a pattern would leave out."""

    pattern: str
    files: int
    size_bytes: int
    sample: list[str]


@exact
class Held(TypedDict):
    """Deletions that wait for a person."""

    id: int
    path_id: int
    path: str
    path_b64: NotRequired[str]
    reason: str
    count: int
    known: int
    sample: list[str]
    created_at: Time


@exact
class HeldDeletions(TypedDict):
    """GET /deletions"""

    held: list[Held]
    total: int


@exact
class HeldFolder(TypedDict):
    """A folder in which files are held."""

    name: str
    name_b64: NotRequired[str]
    path: str
    path_b64: NotRequired[str]
    count: int


@exact
class HeldFile(TypedDict):
    """A file that is held."""

    name: str
    name_b64: NotRequired[str]
    path: str
    path_b64: NotRequired[str]
    size_bytes: int | None
    mtime: Time | None


@exact
class HeldTree(TypedDict):
    """GET /deletions/{held_id}/tree"""

    path: str
    path_b64: NotRequired[str]
    count: int
    folders: list[HeldFolder]
    files: list[HeldFile]
    truncated: bool
