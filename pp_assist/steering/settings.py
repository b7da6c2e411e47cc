"""Settings of what work waits for."""

from pydantic import BaseModel, ConfigDict, Field


class WaitSettings(BaseModel):
    """When hashing and sending wait for better times. Changes are noted meanwhile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    battery_below_percent: int = Field(
        0, ge=0, le=100, description="Wait while the machine runs on batteries that are less full; 0: never."
    )
    metered: bool = Field(False, description="Wait while a connected line is paid by the byte, says NetworkManager.")
