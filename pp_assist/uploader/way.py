"""What everybody who sends something needs to know: who we are, whom we speak to, and what an offer says."""

from dataclasses import dataclass, field
from typing import Any

from pp_assist import posix
from pp_assist.clock import Clock
from pp_assist.core.capabilities import Capabilities
from pp_assist.core.compression import Compression
from pp_assist.core.model import Claim, Kind
from pp_assist.core.upload_rate import UploadRate
from pp_assist.uploader.client import UploadClient
from pp_assist.uploader.plainly import Plainly
from pp_server.wire.names import json_fields
from pp_server.wire.receipts import ReceiptKey


@dataclass(frozen=True, slots=True)
class Host:
    """Who we are for the server."""

    host_id: str
    hostname: str
    is_new: bool = False
    """It was made for this run: no server can have heard of it before."""

    def fields(self) -> dict[str, str]:
        """Return it as the fields of a request."""
        return {"hostname": self.hostname, "host_id": self.host_id}


@dataclass(frozen=True, slots=True)
class Way:
    """The way to one server that works, as it was when it was greeted last."""

    client: UploadClient
    host: Host
    capabilities: Capabilities = Capabilities()  # noqa: RUF009 - immutable
    key: ReceiptKey | None = None
    """What its receipts must be signed with; None: it signs none."""
    rate: UploadRate = field(default_factory=UploadRate)
    """How fast chunks reach it; the same object over all greetings."""
    compression: Compression = Compression.NEVER
    """What it takes compressed."""
    plainly: Plainly = field(default_factory=lambda: Plainly(Clock()))
    """Whether that arrives; the same object over all greetings."""
    server: int = 0
    """Its row of `servers`."""
    server_id: str = ""
    """Its own id; empty where it does not tell."""

    @property
    def compressing(self) -> Compression:
        """What is compressed for now."""
        return Compression.NEVER if self.plainly.is_on else self.compression

    @property
    def whose(self) -> tuple[int, str]:
        """Whom whatever is told on this way is told."""
        return self.server, self.server_id


def offer_of(claim: Claim) -> dict[str, Any]:
    """Return all that is told of a file, a directory or a link besides its content."""
    hashed = claim.hashed
    assert hashed is not None
    return {
        **json_fields(claim.location.filepath),
        "gen": claim.gen,
        "kind": hashed.kind,
        **({"sha256": hashed.sha256, "file_size": hashed.stat.size_bytes} if hashed.kind is Kind.FILE else {}),
        **({} if hashed.target is None else json_fields(hashed.target, "link_target")),
        "mtime_ns": hashed.stat.mtime_ns,
        "mode": hashed.mode,
        "uid": hashed.uid,
        "gid": hashed.gid,
        "user": posix.user_name(hashed.uid),
        "group": posix.group_name(hashed.gid),
    }
