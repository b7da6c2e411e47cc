"""What can be set about the scanner."""

from pydantic import BaseModel, ConfigDict, Field


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
    delete_grace_seconds: float = Field(
        2.0, ge=0.0, le=86400, description="Seconds between the first and the second look at a file that is missing."
    )
