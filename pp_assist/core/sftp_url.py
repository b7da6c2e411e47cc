"""Where a drop folder is: `sftp://USER@HOST:PORT/DIR`. Pure."""

import posixpath
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

SCHEME = "sftp://"
SFTP_PORT = 22


class BadSftpUrl(ValueError):
    """The URL cannot be that of a folder on an SFTP server; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A folder on an SFTP server, as a user of it."""

    host: str
    port: int
    username: str
    path: str
    """Absolute; or, where the URL says /~/, relative to where the server lets the user in."""
    url: str
    """As it was typed, without a slash at its end: what people and our server see."""


def is_sftp(path: str | bytes) -> bool:
    """Say whether *path* means a folder on an SFTP server."""
    start = path[: len(SCHEME)]
    return (os_text(start)).lower() == SCHEME


def os_text(text: str | bytes) -> str:
    return text.decode("latin-1") if isinstance(text, bytes) else text


def parse(url: str) -> Target:
    """Return what *url* means.

    Raises:
        BadSftpUrl: not sftp, no user or host, or with a password: it would be seen wherever the URL is.
    """
    if not is_sftp(url):
        raise BadSftpUrl("must be sftp://USER@HOST[:PORT]/DIR")
    try:
        parts = urlsplit(url)
        port = parts.port or SFTP_PORT
    except ValueError as error:
        raise BadSftpUrl(f"not a URL: {error}") from error
    if parts.password is not None:
        raise BadSftpUrl("must not contain the password: whoever sees the URL would see it; give it beside the URL")
    if not parts.hostname or not parts.username:
        raise BadSftpUrl("must name a user and a host: sftp://USER@HOST[:PORT]/DIR")
    if parts.query or parts.fragment:
        raise BadSftpUrl("must not contain ? or #: write %3F, %23")
    if re.search(r"[\x00-\x20\x7f]", url):
        raise BadSftpUrl("must not contain spaces or control characters: write %20 and the like")
    path = posixpath.normpath(unquote(parts.path or "/"))
    if "\0" in path:
        raise BadSftpUrl("must not contain NUL")
    if path == "/~" or path.startswith("/~/"):
        path = path[3:] or "."
    return Target(
        parts.hostname,
        port,
        unquote(parts.username),
        "/" + path.lstrip("/") if path[0] == "/" else path,
        url.rstrip("/"),
    )
