"""What the routes use: the use cases of a running server."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pp_server.auth import Keys
from pp_server.budget import Budget
from pp_server.files import Files
from pp_server.indexedcp.mounted import Mounted
from pp_server.receipts.issuer import Issuer
from pp_server.restore import Restore
from pp_server.uploads.batch import Batches
from pp_server.uploads.service import Uploads
from pp_server.verify import Verifier


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes use."""

    uploads: Uploads
    batches: Batches
    files: Files
    restore: Restore
    verifier: Verifier
    receipts: Issuer
    indexedcp: Mounted
    keys: Keys
    budget: Budget
    server_id: str
    is_connected: Callable[[], Awaitable[bool]]
    is_healthy: Callable[[], bool]
