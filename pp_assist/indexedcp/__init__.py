"""IndexedCP: a library that buffers files offline and uploads them in chunks when it can."""

from pp_assist.indexedcp.logger import create_logger
from pp_assist.indexedcp.storage import BaseStorage, SQLiteStorage, create_storage

__all__ = ["BaseStorage", "SQLiteStorage", "create_logger", "create_storage"]
