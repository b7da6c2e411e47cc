"""What can be set about sending."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pp_assist.core.compression import Compression
from pp_assist.core.timetable import fast_enough, parse

MOST_UPLOADS = 64


def _timetable(line: str) -> str:
    parse(line)
    return line


class UploaderSettings(BaseModel):
    """How files are sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parallel_uploads: int = Field(
        4, ge=1, le=MOST_UPLOADS, description="Large files sent at a time, besides batches of small ones."
    )
    parallel_chunks: int = Field(2, ge=1, le=16, description="Chunks of one file sent at a time.")
    chunk_size_mb: int = Field(4, ge=1, le=64, description="Largest chunk we send, in MiB; the server chooses.")
    compression: Compression = Field(
        Compression.AUTO, description="Compress what is sent: auto, where it becomes smaller; always; never."
    )
    timeout_seconds: float = Field(
        60.0, ge=1.0, le=86400, description="Seconds without an answer after which we try again."
    )
    bandwidth_kib_per_second: Annotated[int, AfterValidator(fast_enough)] = Field(
        0, ge=0, le=1 << 30, description="KiB of contents sent per second, of all together; 0: no limit."
    )
    bandwidth_timetable: Annotated[list[Annotated[str, AfterValidator(_timetable)]], Field(max_length=100)] = Field(
        [], description="Other limits at some times: 'mon-fri 08:00-18:00 512'. The first that fits counts."
    )
    allow_http: bool = Field(False, description="Send the API key unencrypted to hosts other than this machine.")
