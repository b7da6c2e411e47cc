"""What goes over the wire, on the client's side: the URL, the headers of a chunk, and what an answer means."""

import base64
import hashlib
import json
import os
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlsplit, urlunsplit

from pp_assist.core.errors import ServerNonsense
from pp_assist.http import Answer, BadServerUrl, check_server_url
from pp_assist.indexedcp.errors import ServerAsksToWait, Unauthorized, UploadError

UPLOAD = "/upload"
DIGEST = "contentDigest"
"""Where a chunk's record has the value of that header, once it was read to be sent."""
DEFAULT_WAIT_S = 1.0


def upload_url(server_url: str) -> tuple[str, str]:
    """Return (scheme and host, path) to send chunks to: `/upload` is added where the URL names no path.

    Raises:
        ValueError: it is no URL of a server.
    """
    try:
        parts = urlsplit(check_server_url(server_url.strip(), allow_http=True))
    except BadServerUrl as error:
        raise ValueError(f"server_url {error}") from error
    return urlunsplit((parts.scheme, parts.netloc, "", "", "")), parts.path.rstrip("/") or UPLOAD


def name_headers(name: str) -> dict[str, str]:
    """Return the headers that say a file's name: as it is where a header can carry it, else encoded, and saying so."""
    if name.isascii() and name.isprintable() and name.strip() == name:
        return {"X-File-Name": name}
    return {"X-File-Name": quote_from_bytes(os.fsencode(name)), "X-File-Name-Encoding": "utf-8"}


def upload_headers(record: dict[str, Any]) -> dict[str, str]:
    """Return the headers that tell this upload from others of its name; other servers ignore them."""
    named = {"X-Upload-Id": "uploadId", "X-File-SHA256": "fileSha256"}
    return {header: str(record[field]) for header, field in named.items() if record.get(field)}


def chunk_headers(
    name: str, index: int, data: bytes, record: dict[str, Any], with_digest: bool, digest: str | None = None
) -> dict[str, str]:
    """Return all headers of a chunk but the key. *digest* is its `content_digest`, where that is known already."""
    headers = {"X-Chunk-Index": str(index), **name_headers(name), **upload_headers(record)}
    if record.get("totalChunks"):
        headers |= {"X-Total-Chunks": str(record["totalChunks"]), "X-Chunk-Size": str(record["chunkSize"])}
    if with_digest:
        headers["Content-Digest"] = digest or content_digest(data)
    return headers


def content_digest(data: bytes) -> str:
    """Return the value of `Content-Digest` (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def status_path(path: str, name: str) -> str:
    """Return where to ask which chunks of a file the server has."""
    return f"{path}/status?filename={quote(os.fsencode(name), safe='')}"


def read_upload(answer: Answer) -> dict[str, Any]:
    """Return what the server says about a chunk that it has.

    Raises:
        Unauthorized, ServerAsksToWait, UploadError: it does not have it.
    """
    if answer.status == 200:
        said = _object(answer)
        if "actualFilename" not in said:
            raise UploadError("the answer is not that of an IndexedCP server")
        return said
    text = _text(answer)
    if answer.status == 401:
        raise Unauthorized(f"HTTP 401: {text}")
    if answer.status == 429:
        wait = DEFAULT_WAIT_S if answer.retry_after_s is None else answer.retry_after_s
        raise ServerAsksToWait(f"HTTP 429: {text}", wait)
    raise UploadError(f"HTTP {answer.status}: {text}")


def read_status(answer: Answer, record: dict[str, Any] | None) -> tuple[set[int], bool]:
    """Return which chunks the server has, and whether it speaks of this very upload; nothing where it cannot tell."""
    if answer.status != 200:
        return set(), False
    try:
        said = _object(answer)
        chunks = {int(index) for index in said.get("receivedChunks", ())}
    except (UploadError, TypeError, ValueError):
        return set(), False
    wanted = record and (record.get("fileSha256") or record.get("uploadId"))
    return chunks, bool(wanted) and said.get("uploadId") == wanted


def _object(answer: Answer) -> dict[str, Any]:
    try:
        said = answer.json()
    except ServerNonsense as error:
        raise UploadError(str(error)) from error
    if not isinstance(said, dict):
        raise UploadError("the answer is not that of an IndexedCP server")
    return said


def _text(answer: Answer) -> str:
    try:
        said = json.loads(answer.body)
    except ValueError:
        return "no reason given"
    if not isinstance(said, dict):
        return "no reason given"
    return str(said.get("error") or said.get("detail") or "no reason given")[:200]
