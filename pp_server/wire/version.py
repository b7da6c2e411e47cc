"""The protocol's number and the features a server announces at `GET /api/version`.

A server ignores request fields it does not know; a client uses a verb only when the server announces it.
"""

from importlib.metadata import version

PROTOCOL = 1

FEATURES: tuple[str, ...] = (
    "initiate",
    "deletions",
    "download",
    "list",
    "hosts",
    "proposals",
    "batch",
    "held",
    "verify",
    "receipts",
    "restore",
    "move_tree",
    "inconsistent",
    "base",
    "zstd",
    "history",
)


def distribution_version() -> str:
    """Return the version of the installed distribution, such as ``0.1.0``."""
    return version("putplace-assist")
