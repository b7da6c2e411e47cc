"""What several requests say in their bodies in the same way."""

import os

from pp_assist.api.problems import Refusal
from pp_assist.core.sftp_url import is_sftp
from pp_server.wire.names import display, from_json


def absolute_path(plain: str, encoded: str | None) -> bytes:
    """Return the path a person meant: ~ expanded, . and .. removed, links left as they are; or of a drop folder.

    The API knows no working directory: a relative path would mean something else in the shell it was typed in.

    Raises:
        Refusal: it is no path, or not an absolute one.
    """
    try:
        path = from_json(plain, encoded)
    except ValueError as error:
        raise Refusal(422, "invalid_request", f"path: {error}") from error
    return absolute(path)


def absolute(path: bytes) -> bytes:
    """Return what `absolute_path` does of a path that is bytes already."""
    if is_sftp(path):
        return path.rstrip(b"/")
    expanded = os.path.expanduser(path)
    if not os.path.isabs(expanded):
        raise Refusal(400, "path_not_absolute", f"{display(path)}: must be an absolute path")
    return os.path.normpath(expanded)
