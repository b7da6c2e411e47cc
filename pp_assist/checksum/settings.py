"""What can be set about hashing."""

from pydantic import BaseModel, ConfigDict, Field


class ChecksumSettings(BaseModel):
    """How files are hashed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parallel_workers: int = Field(4, ge=1, le=64, description="Files (or batches of small ones) hashed at a time.")
    low_priority: bool = Field(
        True, description="Hash large files only with what others on the machine leave: processor and disk (Linux)."
    )
    rehash_days: float = Field(
        30.0,
        ge=0.0,
        le=36600,
        description="Days after which a stored file is hashed again, in the background; 0: never.",
    )
