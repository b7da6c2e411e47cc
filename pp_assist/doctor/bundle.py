"""What somebody who helps needs to see, in one file, and nothing that is secret."""

import json
import os
import platform
import re
import stat
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from typing import Any

LOG_BYTES = 2 << 20
"""Of each log, its end."""

HIDDEN = "[hidden]"
_SECRET_NAME = re.compile(r"(?i)api_key|password|passphrase|secret|^token$")
_SHAPES = (
    re.compile(r"(?i)(bearer\s+)[^\s\"',]+"),
    re.compile(r"(://)[^/\s:@]+:[^/\s@]+(?=@)"),
    re.compile(r"(?i)((?:api[_-]?key|token|password|passphrase|secret)[\"']?\s*[:=]\s*[\"']?)[^\s\"',}]+"),
    re.compile(r"()\bpp_[A-Za-z0-9_-]{24,}"),
)


def hide(text: str, secrets: Sequence[str]) -> str:
    """Return *text* without *secrets*, and without what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for shape in _SHAPES:
        text = shape.sub(rf"\g<1>{HIDDEN}", text)
    return text


def hidden(part: Any, secrets: Sequence[str], name: str = "") -> Any:
    """Return *part*, JSON, with the same taken out of all its texts; what is called like a secret is one."""
    if isinstance(part, dict):
        return {key: hidden(value, secrets, str(key)) for key, value in part.items()}
    if isinstance(part, list):
        return [hidden(value, secrets, name) for value in part]
    if not isinstance(part, str):
        return part
    return HIDDEN if part and _SECRET_NAME.search(name) else hide(part, secrets)


def write(path: str, folder: str, parts: Mapping[str, Any], secrets: Sequence[str]) -> None:
    """Write the bundle to *path*: *parts* as JSON (texts as they are), versions, and of *folder* the logs and names.

    Raises:
        OSError: it cannot be written.
    """
    texts = {f"{name}.txt": part for name, part in parts.items() if isinstance(part, str)}
    texts |= {"versions.txt": _versions(), "state_directory.txt": _listing(folder)}
    logs = os.path.join(folder, "logs")
    for name in sorted(os.listdir(logs)) if os.path.isdir(logs) else ():
        texts[f"logs/{name}"] = _end_of(os.path.join(logs, name))
    texts = {name: hide(text, secrets) for name, text in texts.items()}
    for name, part in parts.items():
        if not isinstance(part, str):
            texts[f"{name}.json"] = json.dumps(hidden(part, secrets), indent=2)
    fd, draft = tempfile.mkstemp(".new", f"{os.path.basename(path)}.", os.path.dirname(path))  # nobody else's, mode 600
    try:
        with os.fdopen(fd, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in texts.items():
                bundle.writestr(name, text)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def _end_of(path: str) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_BYTES))
        return file.read().decode(errors="replace")


def _versions() -> str:
    packages = sorted({f"{each.metadata['Name']} {each.version}" for each in distributions()}, key=str.lower)
    system = [f"python {sys.version}", f"system {platform.platform()}", f"encoding {sys.getfilesystemencoding()}"]
    return "\n".join([*system, "", *packages, ""])


def _listing(folder: str) -> str:
    lines = []
    for above, _, names in os.walk(folder):
        for name in sorted(names):
            path = os.path.join(above, name)
            try:
                seen = os.lstat(path)
            except OSError:
                continue
            lines.append(f"{stat.filemode(seen.st_mode)} {seen.st_size:>12} {os.path.relpath(path, folder)}")
    return "\n".join([*lines, ""])
