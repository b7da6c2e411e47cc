"""IndexedCP: a library that buffers files offline and uploads them in chunks when it can."""

from pp_assist.indexedcp.client import IndexedCPClient
from pp_assist.indexedcp.errors import UploadsFailed
from pp_assist.indexedcp.logger import create_logger
from pp_assist.indexedcp.storage import BaseStorage, SQLiteStorage, create_storage
from pp_assist.indexedcp.synchronous import IndexCPClient

__all__ = [
    "BaseStorage",
    "IndexCPClient",
    "IndexedCPClient",
    "SQLiteStorage",
    "UploadsFailed",
    "create_logger",
    "create_storage",
]
