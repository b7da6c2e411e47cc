"""The upload protocol as methods, one per call. HTTP statuses become our errors here and nowhere else."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from pp_assist.core.capabilities import Capabilities
from pp_assist.core.errors import (
    DamagedOnItsWay,
    FileChanged,
    NeedsLogin,
    NotAllowed,
    Refused,
    ServerBusy,
    ServerNonsense,
    ServerTrouble,
    ServerUnavailable,
    SessionLost,
    Stale,
    TooLarge,
)
from pp_assist.http import Answer, Http
from pp_server.wire.batch import CONTENT_TYPE, BatchAnswer, HeldAnswer, ReceiptKeysAnswer, VerifyAnswer, VerifyResult
from pp_server.wire.errors import ErrorCode
from pp_server.wire.messages import (
    MAX_INT,
    ChunkAnswer,
    CompleteAnswer,
    DeletionsAnswer,
    FileListing,
    HostAnswer,
    InitiateAnswer,
    VersionAnswer,
)
from pp_server.wire.names import to_query
from pp_server.wire.receipts import ReceiptKey
from pp_server.wire.version import PROTOCOL

A = TypeVar("A", bound=BaseModel)

SLOWEST_CHECK_BYTES_PER_S = 20_000_000
SLOWEST_FILES_PER_S = 20
LISTED_AT_A_TIME = 500
"""Paths of one page of an inventory: the longest there can be fit into an answer."""

UNAVAILABLE = (429, 502, 503, 504, 507)
"""Statuses that concern everybody, not this request."""


class ChunksMissing(Exception):
    """The server lacks chunks we thought it had; `missing` holds their ranges."""

    def __init__(self, missing: list[tuple[int, int]]) -> None:
        super().__init__("chunks are missing")
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server says about itself."""

    server_id: str | None
    """Its identity, as in its receipts; None where it does not tell."""
    capabilities: Capabilities


class UploadClient:
    """One server, one method per verb. Every method raises `AssistError`s that say what to do."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def initiate(self, request: dict[str, Any]) -> InitiateAnswer:
        """Offer a version; the answer says which chunks are missing."""
        return _parse(await self._call("POST", "/api/uploads/initiate", request), InitiateAnswer)

    async def put_chunk(
        self, upload_id: str, number: int, body: list[bytes], patience_s: float = 0.0, encoding: str | None = None
    ) -> ChunkAnswer:
        """Send one chunk, as *body* (a list that is emptied); *patience_s*: how much longer that may take."""
        path = f"/api/uploads/{upload_id}/chunk/{number}"
        answer = await self._http.request(
            "PUT", path, content=body, content_encoding=encoding, extra_timeout_s=patience_s
        )
        return _parse(accepted(answer), ChunkAnswer)

    async def complete(self, upload_id: str, sha256: str, size_bytes: int) -> CompleteAnswer:
        """Have the server check and keep the file; once this returns, it is durable there.

        The server reads the whole file before it answers, so a large one is given the time for that.
        """
        path = f"/api/uploads/{upload_id}/complete"
        patience_s = size_bytes / SLOWEST_CHECK_BYTES_PER_S
        answer = await self._http.request("POST", path, body={"sha256": sha256}, extra_timeout_s=patience_s)
        return _parse(accepted(answer), CompleteAnswer)

    async def abort(self, upload_id: str) -> None:
        """Give up an upload whose chunks are of no use any more."""
        await self._call("DELETE", f"/api/uploads/{upload_id}")

    async def held(self, digests: list[str]) -> set[str]:
        """Return those of *digests* whose content the server has from us already."""
        answer = await self._call("POST", "/api/files/held", {"sha256": digests})
        return set(_parse(answer, HeldAnswer).held)

    async def verify(self, digests: list[str], nonce: str | None, size_bytes: int) -> list[VerifyResult]:
        """Have the server read and hash contents again; one result per digest, in order. It is given time for all."""
        patience_s = size_bytes / SLOWEST_CHECK_BYTES_PER_S
        body = {"sha256": digests, "nonce": nonce}
        answer = await self._http.request("POST", "/api/files/verify", body=body, extra_timeout_s=patience_s)
        results = _parse(accepted(answer), VerifyAnswer).results
        if [each.sha256 for each in results] != digests:
            raise ServerNonsense("other contents were verified than those asked for")
        return results

    async def batch(self, body: list[bytes], operations: int, encoding: str | None = None) -> Answer:
        """Send a batch whose encoded form is *body* (a list that is emptied); give the answer to `read_batch`.

        The server has all of it on its disk before it answers, so many files are given the time for that.
        """
        patience_s = operations / SLOWEST_FILES_PER_S
        answer = await self._http.request(
            "POST",
            "/api/batch",
            content=body,
            content_type=CONTENT_TYPE,
            content_encoding=encoding,
            extra_timeout_s=patience_s,
        )
        return accepted(answer)

    async def receipt_key(self) -> ReceiptKey:
        """Return the key that signs the server's receipts from now on."""
        keys = _parse(await self._call("GET", "/api/receipts/key"), ReceiptKeysAnswer).keys
        if not keys:
            raise ServerNonsense("the server signs receipts, and names no key")
        return keys[0]

    async def deletions(self, files: list[dict[str, Any]]) -> DeletionsAnswer:
        """Tell of files that are gone; one result per file, in order."""
        result = _parse(await self._call("POST", "/api/files/deletions", {"files": files}), DeletionsAnswer)
        if len(result.results) != len(files):
            raise ServerNonsense("another number of results than deletions")
        _check_gens(each.gen for each in result.results)
        return result

    async def greet(self) -> Greeting:
        """Ask the server who it is and what it can do.

        Raises:
            ServerNonsense: it speaks another protocol than this program.
        """
        answer = await self._http.request("GET", "/api/version")
        if answer.status == 404:
            return Greeting(None, Capabilities())
        told = _parse(accepted(answer), VersionAnswer)
        if told.protocol != PROTOCOL:
            raise ServerNonsense(f"the server speaks protocol {told.protocol}, this program speaks {PROTOCOL}")
        return Greeting(told.server_id, Capabilities.announced(told.features, told.limits))

    async def host(self, host_id: str, run: str) -> HostAnswer:
        """Return where a host stands on the server; *run* is who asks for it, of all runs there ever were."""
        answer = await self._http.request("GET", f"/api/hosts/{host_id}?run={run}")
        if answer.status == 404:
            return HostAnswer(host_id=host_id, hostname="", highest_gen=0)
        host = _parse(accepted(answer), HostAnswer)
        _check_gens([host.highest_gen])
        return host

    async def highest_gen(self, host_id: str) -> int:
        """Return the highest generation the server knows of this host; 0 where it knows none."""
        answer = await self._http.request("GET", f"/api/hosts/{host_id}")
        if answer.status == 404:
            return 0
        return _parse(accepted(answer), HostAnswer).highest_gen

    async def inventory(self, host_id: str, path_prefix: bytes, kind: str, after: str | None) -> Answer:
        """Return a page of the live paths of one kind, of a host, at and below *path_prefix*: for `read_inventory`."""
        query = f"host_id={quote(host_id, safe='')}&path_prefix={to_query(path_prefix)}&limit={LISTED_AT_A_TIME}"
        more = f"&kind={kind}" + (f"&after={quote(after, safe='')}" if after else "")
        return accepted(await self._http.request("GET", f"/api/files?{query}{more}"))

    async def _call(self, method: str, path: str, body: Any = None) -> Answer:
        return accepted(await self._http.request(method, path, body=body))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()


def read_batch(answer: Answer, operations: int) -> BatchAnswer:
    """Return what became of each of the *operations* of a batch.

    Raises:
        ServerNonsense: it is no such answer.
    """
    try:
        results = BatchAnswer.model_validate_json(answer.body)
    except ValidationError as error:
        raise ServerNonsense(f"not an answer of our protocol: {error.errors()[0]['msg']}") from error
    if len(results.results) != operations:
        raise ServerNonsense("another number of results than operations")
    _check_gens(each.gen for each in results.results)
    return results


def read_results(answer: Answer, operations: int) -> list[dict[str, Any]]:
    """`read_batch`, as the JSON it is: for whoever compares all that counts with what was sent.

    Raises:
        ServerNonsense: it is no such answer.
    """
    told = answer.json()
    results = told.get("results") if isinstance(told, dict) else None
    if not isinstance(results, list) or not all(isinstance(each, dict) and "status" in each for each in results):
        raise ServerNonsense("not an answer of our protocol: no results")
    if len(results) != operations:
        raise ServerNonsense("another number of results than operations")
    if not all(each.get("gen") is None or type(each["gen"]) is int for each in results):
        raise ServerNonsense("not an answer of our protocol: a generation is no number")
    _check_gens(each.get("gen") for each in results)
    return results


def read_inventory(answer: Answer, host_id: str) -> FileListing:
    """Return a page of live paths. CPU-bound.

    Raises:
        ServerNonsense: it is no such page, or not of this host.
    """
    listing = _parse(answer, FileListing)
    if any(file.host_id != host_id for file in listing.files):
        raise ServerNonsense("files of another host were listed than those asked for")
    _check_gens(file.gen for file in listing.files)
    return listing


def _check_gens(gens: Iterable[int | None]) -> None:
    """Refuse generations that nobody can have given: ours would begin above them for ever, with whatever server.

    Raises:
        ServerNonsense: there is one.
    """
    if any(gen is not None and not 0 <= gen < MAX_INT for gen in gens):
        raise ServerNonsense("the server names a generation that nobody can have given")


def _parse(answer: Answer, model: type[A]) -> A:
    try:
        return model.model_validate(answer.json())
    except ValidationError as error:
        raise ServerNonsense(f"not an answer of our protocol: {error.errors()[0]['msg']}") from error


def accepted(answer: Answer) -> Answer:
    """Return *answer* if it is a success; raise what its status and code mean otherwise."""
    if 200 <= answer.status < 300:
        return answer
    problem = _problem(answer)
    code, detail = problem.get("code"), str(problem.get("detail", ""))[:500]
    retry_after = answer.retry_after_s
    if answer.status == 401:
        raise NeedsLogin(f"the server does not accept our API key: {detail or answer.status}")
    if answer.status == 403:
        raise NotAllowed(f"our API key may not do this: {detail or answer.status}")
    text = f"the server answers {answer.status}: {detail or 'no explanation'}"
    if answer.status in UNAVAILABLE:
        raise ServerUnavailable(text, retry_after)
    if answer.status >= 500:
        raise ServerTrouble(text, retry_after)
    if answer.status == 413:
        raise TooLarge(text)
    if not code:
        raise ServerNonsense(text)
    match code:
        case ErrorCode.STALE if isinstance(problem.get("gen"), int):
            _check_gens([problem["gen"]])
            raise Stale(problem["gen"])
        case ErrorCode.NOT_ALL_CHUNKS_UPLOADED:
            raise ChunksMissing(_ranges(problem.get("missing")))
        case ErrorCode.BODY_DAMAGED:
            raise DamagedOnItsWay(f"the server received something else than was sent: {detail}")
        case ErrorCode.SHA256_MISMATCH | ErrorCode.CHUNK_CONFLICT | ErrorCode.ETAG_MISMATCH:
            raise FileChanged(f"the server received other bytes than were announced: {detail}")
        case ErrorCode.UPLOAD_NOT_FOUND | ErrorCode.UPLOAD_EXPIRED | ErrorCode.UPLOAD_ABORTED:
            raise SessionLost(detail)
        case ErrorCode.CHUNK_SUPERSEDED:
            raise ServerBusy(detail, retry_after)
    raise Refused(f"the server refuses it ({code}): {detail}")


def _problem(answer: Answer) -> dict[str, Any]:
    try:
        body = answer.json()
    except ServerNonsense:
        return {}
    return body if isinstance(body, dict) else {}


def _ranges(value: Any) -> list[tuple[int, int]]:
    try:
        return [(int(first), int(last)) for first, last in value]
    except (TypeError, ValueError) as error:
        raise ServerNonsense("the missing chunks are not ranges") from error
