"""Reading the two streams of a restore: lines, and contents between lines. A stream that was cut is never whole."""

import json
from collections.abc import AsyncIterator

from pydantic import ValidationError

from pp_assist.core.errors import ServerNonsense
from pp_server.wire.restore import LONGEST_LINE_BYTES, MAX_CONTENT_BYTES, TreeEntry

_CUT = "the answer ended too early"


class Pieces:
    """A stream of bytes that can be read line by line and by length."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = bytearray()
        self._start = 0

    async def line(self) -> bytes:
        """Return the next line, without its end.

        Raises:
            ServerNonsense: there is none, or one longer than any.
        """
        searched = self._start
        while (end := self._buffer.find(b"\n", searched)) < 0:
            if len(self._buffer) - self._start > LONGEST_LINE_BYTES:
                raise ServerNonsense("the answer has a line longer than any of our server's")
            searched = len(self._buffer) - self._start
            await self._more()
        line = bytes(self._buffer[self._start : end])
        self._start = end + 1
        return line

    async def exactly(self, length: int) -> bytes:
        """Return the next *length* bytes.

        Raises:
            ServerNonsense: there are fewer.
        """
        while len(self._buffer) - self._start < length:
            await self._more()
        data = bytes(self._buffer[self._start : self._start + length])
        self._start += length
        return data

    async def _more(self) -> None:
        """Append what comes next; what was read is let go of, so that positions begin anew."""
        piece = await anext(self._pieces, None)
        if piece is None:
            raise ServerNonsense(_CUT)
        del self._buffer[: self._start]
        self._start = 0
        self._buffer += piece


async def entries(pieces: Pieces) -> AsyncIterator[TreeEntry]:
    """Yield the lines of GET /api/tree.

    Raises:
        ServerNonsense: they are not, or not all, what our server would say.
    """
    count = 0
    while True:
        line = await pieces.line()
        try:
            if line.startswith(b'{"entries"'):
                if json.loads(line)["entries"] != count:
                    raise ServerNonsense(_CUT)
                return
            entry = TreeEntry.model_validate_json(line)
        except (ValidationError, ValueError, KeyError) as error:
            raise ServerNonsense("a line of the answer is not what our server would say") from error
        count += 1
        yield entry


async def contents(pieces: Pieces) -> AsyncIterator[tuple[str, bytes | None]]:
    """Yield (digest, content or None) of POST /api/contents; the content is not looked at.

    Raises:
        ServerNonsense: as for `entries`.
    """
    count = 0
    while True:
        try:
            head = json.loads(await pieces.line())
            if "contents" in head:
                if head["contents"] != count:
                    raise ServerNonsense(_CUT)
                return
            digest, size = head["sha256"], head["size"]
        except (ValueError, KeyError, TypeError) as error:
            raise ServerNonsense("a head in the answer is not what our server would say") from error
        if size is not None and (type(size) is not int or not 0 <= size <= MAX_CONTENT_BYTES):
            raise ServerNonsense("a content in the answer is longer than any")
        count += 1
        yield digest, None if size is None else await pieces.exactly(size)
