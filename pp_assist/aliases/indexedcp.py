"""The old import name of the IndexedCP library: `from indexedcp import ...` finds what it always found."""

from pp_assist.indexedcp import *  # noqa: F403
from pp_assist.indexedcp import __all__ as _client
from pp_server.indexedcp import IndexedCPServer

__all__ = [*_client, "IndexedCPServer"]  # noqa: PLE0604
