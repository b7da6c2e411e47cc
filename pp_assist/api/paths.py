"""Which root does a path belong to? Pure."""

from collections.abc import Iterable

from pp_assist.core.model import Root


def is_within(path: bytes, folder: bytes) -> bool:
    """Say whether *path* is *folder* or lies below it."""
    stem = folder.rstrip(b"/")
    return path.rstrip(b"/") == stem or path.startswith(stem + b"/")


def relative(path: bytes, folder: bytes) -> bytes:
    """Return *path* relative to *folder*, which it is within; empty for the folder itself."""
    return path[len(folder.rstrip(b"/")) :].strip(b"/")


def root_of(roots: Iterable[Root], path: bytes) -> tuple[Root, bytes] | None:
    """Return the root that *path* is within, and the path relative to it. Both spellings of a root count."""
    for root in roots:
        for folder in (root.shown, root.path):
            if is_within(path, folder):
                return root, relative(path, folder)
    return None


def covering(roots: Iterable[Root], prefix: bytes) -> tuple[list[int], bytes]:
    """Return (root ids, relative path) for everything at or below *prefix*: part of one root, or several whole ones."""
    roots = list(roots)
    if found := root_of(roots, prefix):
        return [found[0].id], found[1]
    return [root.id for root in roots if is_within(root.shown, prefix) or is_within(root.path, prefix)], b""
