"""What a person wants done with a folder on an SFTP server."""

from dataclasses import dataclass, field
from typing import Any, Literal

After = Literal["leave", "move", "remove"]


@dataclass(frozen=True, slots=True)
class DropOptions:
    """How to get there, and what is done with what arrives."""

    password: str | None = field(default=None, repr=False)
    key_file: str | None = None
    passphrase: str | None = field(default=None, repr=False)
    host_key: str | None = None
    known_hosts: str | None = None
    after: After = "leave"
    in_progress: str | None = None
    patterns: tuple[str, ...] = ()
    interval_s: float = 10.0
    rest_s: float = 5.0
    announce: dict[str, Any] | None = field(default=None, repr=False)
    """`url`, `secret` and what else `Announce` has."""
