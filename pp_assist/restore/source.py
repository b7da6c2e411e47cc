"""The server that files come back from: one method per request. Every method raises `AssistError`s."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from urllib.parse import quote

from pp_assist.core.errors import AssistError, NotOffered, ServerNonsense
from pp_assist.http import Http
from pp_assist.restore.streams import Pieces, contents, entries
from pp_assist.restore.when import NOW, When
from pp_assist.uploader.client import UploadClient, accepted
from pp_server.wire.names import to_query
from pp_server.wire.restore import TreeEntry

OK, PARTIAL, NOT_FOUND = 200, 206, 404


class NotOnServer(AssistError):
    """The server has nothing of this path, or not what is asked for."""

    reason = "not_on_server"


class Source:
    """See module."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def greet(self, when: When = NOW) -> None:
        """Make sure that the server can give back much at once, as it was *when*.

        Raises:
            NotOffered: it cannot.
        """
        can = (await UploadClient(self._http).greet()).capabilities.can
        if not can("restore"):
            raise NotOffered("the server is too old for this: it does not give back whole folders")
        if when != NOW and not can("history"):  # it would give what is there now
            raise NotOffered("the server is too old for this: it lists nothing but what is there now")

    async def host(self, name: str | None) -> dict[str, str]:
        """Return what to ask for so that only the machine *name*, an id or a name, is meant; None: all of them."""
        if name is None:
            return {}
        quoted = quote(name, safe="")
        known = await self._http.request("GET", f"/api/hosts/{quoted}")
        return {"host_id" if known.status == OK else "hostname": quoted}

    async def tree(
        self, prefix: bytes | None, host: Mapping[str, str], when: When = NOW
    ) -> AsyncGenerator[TreeEntry, None]:
        """Yield what is live at and below *prefix*, or was; *host* as `host` says it."""
        asked = [f"{field}={value}" for field, value in {**host, **when.asked()}.items()]
        asked += [f"path_prefix={to_query(prefix)}"] if prefix else []
        async with self._http.stream("GET", "/api/tree?" + "&".join(asked)) as streamed:
            accepted(streamed.answer)
            async for entry in entries(Pieces(streamed.pieces)):
                yield entry

    async def contents(self, digests: Sequence[str]) -> AsyncGenerator[tuple[str, bytes | None], None]:
        """Yield (digest, content) of small contents, in any order; None where it is not to be had like this."""
        async with self._http.stream("POST", "/api/contents", body={"sha256": list(digests)}) as streamed:
            accepted(streamed.answer)
            async for digest, content in contents(Pieces(streamed.pieces)):
                yield digest, content

    async def size(self, digest: str) -> int | None:
        """Return how long one content is; None: the server does not have it."""
        async with self._http.stream("GET", f"/api/files/{digest}/content") as streamed:
            if streamed.answer.status == NOT_FOUND:
                return None
            accepted(streamed.answer)
            return streamed.length_bytes

    async def content(self, digest: str, offset: int) -> AsyncGenerator[bytes, None]:
        """Yield one content from *offset* on."""
        headers = {"Range": f"bytes={offset}-", "If-Range": f'"{digest}"'} if offset else None
        async with self._http.stream("GET", f"/api/files/{digest}/content", headers=headers) as streamed:
            if streamed.answer.status == NOT_FOUND:
                raise NotOnServer("the server does not have this content any more")
            accepted(streamed.answer)
            if offset and streamed.answer.status != PARTIAL:
                raise ServerNonsense("a part was asked for, and the whole is sent")
            async for piece in streamed.pieces:
                yield piece
