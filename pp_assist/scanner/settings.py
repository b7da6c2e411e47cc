"""What can be set about the scanner, and about what it leaves out."""

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from pp_assist.core.patterns import checked


class ScannerSettings(BaseModel):
    """How files are found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scan_interval: float = Field(
        60.0,
        ge=0.1,
        le=86400 * 366,
        description="Seconds between full scans; unless set, stretched as long as scanning costs too much.",
    )
    use_filesystem_events: bool = Field(True, description="Let the system tell what changes between scans.")
    canary_seconds: float = Field(
        30.0, ge=0.1, le=3600, description="Seconds between two proofs that the system still tells of changes."
    )
    quiet_seconds: float = Field(
        2.0,
        ge=0.0,
        le=86400,
        description="Seconds a file must have been left alone before it is hashed (0.1 once closed).",
    )
    busy_after_seconds: float = Field(
        600.0, ge=0.0, le=86400 * 366, description="Seconds of going on changing after which a file is shown as busy."
    )
    busy_policy: Literal["wait", "snapshot"] = Field(
        "wait",
        description="What becomes of a busy file: it waits, or a marked snapshot of it is stored, again and again.",
    )
    delete_grace_seconds: float = Field(
        2.0, ge=0.0, le=86400, description="Seconds between the first and the second look at a file that is missing."
    )


class RulesSettings(BaseModel):
    """What is left out, in every root."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exclude: list[Annotated[str, AfterValidator(checked)]] = Field(
        [], max_length=1000, description="Patterns, as in .gitignore, of what is left out."
    )

    max_size_mb: int = Field(0, ge=0, le=1 << 40, description="MiB above which a file is left out; 0: none is.")
    min_age_seconds: float = Field(
        0.0, ge=0.0, le=86400, description="Seconds a file must have been left alone before it is stored."
    )

    @field_validator("exclude", mode="before")
    @classmethod
    def _from_a_variable(cls, value: object) -> object:
        """Take a JSON list as text: a variable of the environment holds nothing else."""
        return json.loads(value) if isinstance(value, str) else value
