"""What a person wants compressed before it is sent."""

from enum import StrEnum


class Compression(StrEnum):
    """What may be compressed."""

    AUTO = "auto"
    """What becomes smaller."""
    ALWAYS = "always"
    NEVER = "never"
