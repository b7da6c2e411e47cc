"""The page's files as they lie in the package, and what a browser is told to do with them.

They are the same for everybody and hold no data. Only what was built is served: a name is looked up, never a path.
"""

import mimetypes
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""What the page may load: from here, and nothing inline."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

HASHED = "assets/"
"""Below this, names change with what is in the files."""

FOR_EVER, NEVER_KEPT = "public, max-age=31536000, immutable", "no-store"
NOT_KEPT = {"Cache-Control": NEVER_KEPT}
START = "index.html"
_OURS = {".js": "text/javascript", ".webmanifest": "application/manifest+json", ".woff2": "font/woff2"}
"""What systems do not agree on."""


def built() -> Mapping[str, Traversable]:
    """Return name → file of everything that was built; nothing where the package came without a page. Blocking.

    Looked up each time: the package may be replaced by a newer one while we run.
    """
    folder = files("pp_assist").joinpath("ui", "built")
    return dict(_below(folder, "")) if folder.is_dir() else {}


def _below(folder: Traversable, where: str) -> Iterator[tuple[str, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _below(each, f"{where}{each.name}/")
        else:
            yield where + each.name, each


def read(name: str) -> bytes | None:
    """Return what is in the file *name*; None: there is no such file. Blocking."""
    found = built().get(name)
    return None if found is None else found.read_bytes()


def headers_of(name: str) -> dict[str, str]:
    """Return what is said with the file *name*."""
    suffix = name[name.rfind(".") :]
    kind = _OURS.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    return HEADERS | {"Content-Type": kind, "Cache-Control": FOR_EVER if name.startswith(HASHED) else NEVER_KEPT}
