"""What several answers have in common."""

from typing import NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

exact = with_config(ConfigDict(extra="forbid"))
Time = str
"""UTC, ISO 8601, with milliseconds."""


@exact
class Problem(TypedDict):
    """An error."""

    detail: str
    code: str
    request_id: str
    errors: NotRequired[list["FieldProblem"]]


@exact
class FieldProblem(TypedDict):
    """What is wrong with one field of a request."""

    field: str
    message: str


@exact
class CodeAndText(TypedDict):
    """A stable word, and what it means for people."""

    code: str
    text: str


@exact
class Done(TypedDict):
    """What was done."""

    status: str


@exact
class Counted(TypedDict):
    """What was done, and with how many."""

    status: str
    count: int


@exact
class Who(TypedDict):
    """Who answers."""

    name: str
    version: NotRequired[str]


@exact
class Health(TypedDict):
    """Whether all components work."""

    status: str
    version: NotRequired[str]
    database_ok: NotRequired[bool]
