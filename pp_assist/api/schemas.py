"""JSON shapes of the local API that callers send. Unknown fields are refused: a typo must not be ignored."""

from typing import Annotated, Any, Literal, Self

from fastapi import Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

from pp_assist.core.model import FileState
from pp_assist.core.patterns import checked
from pp_assist.core.trust import parse_fingerprint


class Body(BaseModel):
    """Base of all request bodies."""

    model_config = ConfigDict(frozen=True, extra="forbid")


RowId = Annotated[int, Path(ge=0, lt=2**63)]
"""An id in a URL: what the database can count."""

TOGETHER = {
    "stored": (FileState.COMPLETED, FileState.UNCHANGED),
    "pending": (FileState.DISCOVERED, FileState.READY_FOR_UPLOAD),
}
"""Words for two states each."""

STATES = [str(each) for each in (*FileState, *TOGETHER)]


def _state(word: str) -> str:
    if word not in STATES:
        raise ValueError(f"must be one of {', '.join(STATES)}")
    return word


Shown = Annotated[str, AfterValidator(_state), WithJsonSchema({"enum": STATES, "type": "string"})]
"""In GET /files."""


class AddAnnounce(Body):
    """Who is told of what arrived in a drop folder."""

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    secret: SecretStr = SecretStr("")
    batch_size: Annotated[int, Field(ge=1, le=1000, strict=True)] = 5
    project_id: Annotated[str, Field(max_length=255)] = ""
    profile_code: Annotated[str, Field(max_length=255)] | None = None
    uploaded_by: Annotated[str, Field(max_length=255)] = "pp_assist"
    source: Annotated[str, Field(max_length=255)] = "SFTP"


class AddSftp(Body):
    """POST /paths, of a folder on an SFTP server: how to get there, and what is done with what arrives."""

    password: SecretStr | None = None
    key_file: Annotated[str, Field(min_length=1, max_length=4095)] | None = None
    passphrase: SecretStr | None = None
    host_key: Annotated[str, Field(pattern=r"^SHA256:[A-Za-z0-9+/]{43}=?$")] | None = None
    known_hosts: Annotated[str, Field(min_length=1, max_length=4095)] | None = None
    after: Literal["leave", "move", "remove"] = "leave"
    in_progress: Annotated[str, Field(min_length=1, max_length=4095)] | None = None
    patterns: Annotated[list[Annotated[str, Field(min_length=1, max_length=255)]], Field(max_length=100)] = []
    interval_seconds: Annotated[float, Field(ge=0.1, le=86_400, allow_inf_nan=False)] = 10.0
    rest_seconds: Annotated[float, Field(ge=0.0, le=86_400, allow_inf_nan=False)] = 5.0
    announce: AddAnnounce | None = None


class AddPath(Body):
    """POST /paths"""

    path: str = Field(min_length=1)
    path_b64: str | None = None
    recursive: bool = True
    policy: Literal["mirror", "archive"] = "mirror"
    """What the server is told of deletions: archive, nothing."""
    exclude: Annotated[list[Annotated[str, AfterValidator(checked)]], Field(max_length=1000)] = []
    """Patterns of what is left out in it."""
    sftp: AddSftp | None = None
    """Where *path* is sftp://USER@HOST[:PORT]/DIR."""


class TriggerScan(Body):
    """POST /scan/trigger; an empty body means all paths."""

    path: str | None = None
    path_b64: str | None = None
    force: bool = False
    wait: bool = False


class Approve(Body):
    """POST /deletions/{id}/approve"""

    count: Annotated[int, Field(ge=1, strict=True)]
    """How many files the person was shown; must still be so."""


class ShowTicket(Body):
    """POST /session"""

    ticket: SecretStr = Field(min_length=1, max_length=200)


class AddExclude(Body):
    """POST /excludes"""

    pattern: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(checked)]


class PreviewExclude(AddExclude):
    """POST /excludes/preview"""

    path_id: Annotated[int, Field(ge=0, lt=2**63, strict=True)] | None = None
    """Only in this path; null: in all."""


class HoldBack(Body):
    """POST /pause; an empty body means until a person resumes."""

    until: AwareDatetime | None = None
    seconds: Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.until is not None and self.seconds is not None:
            raise ValueError("until or seconds, not both")
        return self


LineState = Literal["waiting", "eligible", "backoff", "parked", "held"]
"""Of what is in line; eligible: its turn may be now."""


class SteerQueue(Body):
    """POST /queue/{bump|hold|release|retry|cancel}: which files, in one of three ways."""

    path: Annotated[str, Field(min_length=1)] | None = None
    """The file, or everything below the folder."""
    path_b64: str | None = None
    glob: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(checked)] | None = None
    """A pattern as in a list of excludes."""
    ids: Annotated[list[Annotated[int, Field(ge=0, lt=2**63, strict=True)]], Field(max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        by_path = self.path is not None or self.path_b64 is not None
        if by_path + (self.glob is not None) + (self.ids is not None) != 1:
            raise ValueError("path, glob or ids: exactly one of them")
        return self


class FetchBack(Body):
    """POST /fetch: which file, in one of two ways, and where to."""

    path: Annotated[str, Field(min_length=1)] | None = None
    path_b64: str | None = None
    id: Annotated[int, Field(ge=0, lt=2**63, strict=True)] | None = None
    """As in GET /files."""
    to: Annotated[str, Field(min_length=1)] | None = None
    """A folder that is there, or a new name in one; neither: its own place."""
    to_b64: str | None = None
    version: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """The digest of an older content."""
    overwrite: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.path is not None or self.path_b64 is not None) == (self.id is not None):
            raise ValueError("path or id: exactly one of them")
        return self


class Verify(Body):
    """POST /verify"""

    sha256: Annotated[list[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]], Field(min_length=1, max_length=100)]
    nonce: Annotated[str, Field(pattern="^([0-9a-f]{2}){1,64}$")] | None = None


def _readable(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("must be printable, without spaces around it")
    return name


class TryServer(Body):
    """POST /servers/test"""

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    api_key: SecretStr = Field(min_length=1, max_length=1000)
    fingerprint: Annotated[str, AfterValidator(parse_fingerprint)] | None = None
    ca_file: Annotated[str, Field(min_length=1, max_length=4095)] | None = None


class AddServer(TryServer):
    """POST /servers"""

    name: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_readable)]
    username: Annotated[str, Field(max_length=255)] | None = None
    is_default: bool = False


Config = dict[str, Any]
