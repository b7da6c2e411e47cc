"""Who a request comes from, as far as its headers say: whether it is let in, and as whom. Pure."""

import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

Headers = Sequence[tuple[bytes, bytes]]

OPEN = frozenset({("GET", "/health"), ("HEAD", "/health"), ("POST", "/session"), ("GET", "/"), ("GET", "/ui")})
"""Answered without a token: nothing is told, or a ticket is asked for instead."""

PAGE = "/ui/"
"""Below it are the page's own files, which are the same for everybody."""

ENTERING = ("POST", "/session")

CSRF_HEADER = b"x-putplace-csrf"
"""No page of another site can send it without being asked first, and nobody is asked."""

READING = frozenset({"GET", "HEAD", "OPTIONS"})
OURSELVES = ("127.0.0.1", "localhost", "[::1]")


class As(StrEnum):
    """How a caller was let in."""

    TOKEN = "token"  # noqa: S105
    COOKIE = "cookie"
    LOCAL = "local"  # a program of the same user; only where no token is required
    NOBODY = "nobody"  # nothing is told but that we live


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: int
    code: str
    detail: str


FOREIGN_HOST = Refusal(403, "forbidden_host", "the Host header does not name this daemon")
FOREIGN_ORIGIN = Refusal(403, "forbidden_origin", "requests from other web pages are refused")
NO_TOKEN = Refusal(401, "unauthorized", "send the token from the file api-token in the state directory")
NO_CSRF = Refusal(403, "csrf", "a page must send the header X-PutPlace-CSRF with everything that changes something")
NOT_JSON = Refusal(415, "not_json", "a page must send application/json")


@dataclass(frozen=True, slots=True)
class Doors:
    """Who is let in."""

    token: str
    port: Callable[[], int]
    """Where we listen: the Host header must name it."""
    cookie: str
    """The name of the session cookie."""
    is_session: Callable[[str], bool]
    allowed_origins: frozenset[str] = frozenset()
    """Pages of other sites that may call, with the token."""
    require_token: bool = True


def is_guest(headers: Headers, doors: Doors) -> bool:
    """Say whether it comes from a page of another site that may call."""
    origins = _all(headers, b"origin")
    return len(origins) == 1 and origins[0].decode("latin-1") in doors.allowed_origins


def judge(method: str, path: str, headers: Headers, doors: Doors) -> As | Refusal:
    """Return as whom the caller is let in, or why not; as `LOCAL` only if its end of the connection is our own user's.

    The Host first: a name that was rebound to this machine is not ours. Then where the page is from, then who it is.
    """
    if (refusal := foreign(headers, doors)) is not None:
        return refusal
    if _has_token(headers, doors.token):
        return As.TOKEN
    if (method, path) in OPEN or (method == "GET" and path.startswith(PAGE)):
        return As.NOBODY
    if is_guest(headers, doors):
        return NO_TOKEN
    if _has_session(headers, doors):
        return _of_page(method, headers)
    return NO_TOKEN if doors.require_token else As.LOCAL


def foreign(headers: Headers, doors: Doors) -> Refusal | None:
    """Return why it is nothing for us, or comes from a page of another site."""
    hosts, origins = _all(headers, b"host"), _all(headers, b"origin")
    if len(hosts) != 1 or hosts[0].lower() not in _ours("{}:{}", doors):
        return FOREIGN_HOST
    if is_guest(headers, doors):
        return None
    if any(origin.lower() not in _ours("http://{}:{}", doors) for origin in origins):
        return FOREIGN_ORIGIN
    if any(site not in (b"same-origin", b"none") for site in _all(headers, b"sec-fetch-site")):
        return FOREIGN_ORIGIN
    return None


def _of_page(method: str, headers: Headers) -> As | Refusal:
    """Judge a request with our cookie: the browser sends that along, whoever asks it to."""
    if method in READING:
        return As.COOKIE
    if _all(headers, CSRF_HEADER) != [b"1"]:
        return NO_CSRF
    kinds = _all(headers, b"content-type")
    if any(kind.split(b";")[0].strip().lower() != b"application/json" for kind in kinds):
        return NOT_JSON
    return As.COOKIE


def _has_token(headers: Headers, token: str) -> bool:
    values = _all(headers, b"authorization")
    if len(values) != 1:
        return False
    scheme, _, shown = values[0].partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(shown.strip(), token.encode())


def _has_session(headers: Headers, doors: Doors) -> bool:
    return any(map(doors.is_session, cookies_named(doors.cookie, headers)))


def cookies_named(wanted: str, headers: Headers) -> Iterator[str]:
    """Yield the values of our cookie: all programs of this machine share them, so others may be anything."""
    for cookies in _all(headers, b"cookie"):
        for each in cookies.split(b";"):
            name, _, value = each.strip().partition(b"=")
            if name == wanted.encode():
                yield value.decode("latin-1")


def _ours(form: str, doors: Doors) -> set[bytes]:
    return {form.format(host, doors.port()).encode() for host in OURSELVES}


def _all(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]
