"""What a server promises once it has answered `complete`: this version of this path is durable here."""

from pydantic import BaseModel, ConfigDict


class Receipt(BaseModel):
    """The server's word that one version of one file is stored."""

    model_config = ConfigDict(frozen=True)

    server_id: str
    owner: str
    host_id: str
    filepath: str
    filepath_b64: str | None = None
    gen: int
    sha256: str
    size: int
    """Bytes."""
    stored_at: str
    """UTC, RFC 3339 with milliseconds."""
    sequence: int
    """Grows with every version this server records; a lower one than seen before means the server went back in time."""
