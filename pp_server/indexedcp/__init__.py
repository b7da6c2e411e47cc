"""IndexedCP on the server's side: chunks of files, over one small request."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pp_server.indexedcp.server import IndexedCPServer

__all__ = ["IndexedCPServer"]


def __getattr__(name: str) -> Any:
    """Load the server that stands alone where it is asked for: what is around it needs no web framework."""
    if name == "IndexedCPServer":
        from pp_server.indexedcp.server import IndexedCPServer

        return IndexedCPServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
