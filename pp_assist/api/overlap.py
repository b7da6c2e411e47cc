"""May a folder be watched, beside those that are? Pure."""

from collections.abc import Iterable

from pp_assist.api.paths import is_within
from pp_assist.api.problems import Refusal
from pp_assist.core.model import Root
from pp_assist.core.sftp_url import is_sftp
from pp_server.wire.names import display

FORBIDDEN = (b"/proc", b"/sys", b"/dev")


def why_not(roots: Iterable[Root], shown: bytes, resolved: bytes, own_paths: Iterable[bytes]) -> Refusal | None:
    """Return why the folder *shown*, which is *resolved* without links, cannot be watched; None: it can."""
    if resolved == b"/" or any(is_within(resolved, folder) for folder in FORBIDDEN):
        return Refusal(400, "path_refused", f"{display(shown)}: not a folder of files")
    if any(is_within(resolved, own) for own in own_paths):
        return Refusal(400, "path_refused", f"{display(shown)}: these are the daemon's own files")
    for root in roots:
        if root.path == resolved:
            return Refusal(409, "path_exists", "Path already registered")
        spellings = ((resolved, root.path), (shown, root.shown), (shown, root.path))
        if is_sftp(root.shown):  # its own place is in the daemon's folder, which is watched by nobody
            spellings = ((shown, root.shown),) * 3
            if root.shown == shown:
                return Refusal(409, "path_exists", "Path already registered")
        if any(is_within(one, other) or is_within(other, one) for one, other in spellings):
            return Refusal(400, "path_overlaps", f"{display(shown)} overlaps with {display(root.shown)}")
    return None
