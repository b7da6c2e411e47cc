"""IndexedCP on the server's side: chunks of files, over one small request."""

from pp_server.indexedcp.server import IndexedCPServer

__all__ = ["IndexedCPServer"]
