"""Bringing files back: what is there already stays, small ones come by the thousand, large ones piece by piece."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TypeVar

from pp_assist.core.errors import AssistError, NeedsLogin, ServerNonsense
from pp_assist.restore.folder import FAILURES, Done, Folder, not_written
from pp_assist.restore.large import NOT_THE_CONTENT, LargeFile
from pp_assist.restore.source import Source
from pp_assist.restore.threads import in_thread, opened
from pp_assist.restore.wanted import Outcome, Wanted
from pp_server.wire.digest import digest_of
from pp_server.wire.restore import MAX_CONTENT_BYTES, MAX_CONTENTS

ASKED_BYTES = 32 << 20
"""Small contents of one request."""

WRITTEN_FILES = 256
WRITTEN_BYTES = 4 << 20
"""Small files are written so many at a time, while the next ones arrive."""

LOOKED_AT = 2000
TRIES = 3
RESTS_S = (1.0, 2.0)
"""Between them; longer where the server says so, but no longer than this:"""
LONGEST_REST_S = 30.0

T = TypeVar("T")
Report = Callable[[Sequence[Done]], None]
Came = Callable[[int], None]
"""Told how much of a large file is there by now."""


def _nobody_asks(_: int) -> None:
    pass


async def restore(
    source: Source,
    folder: Folder,
    wanted: Sequence[Wanted],
    report: Report,
    came: Came = _nobody_asks,
    together: bool = True,
) -> None:
    """Make everything *wanted* in *folder*, and *report* what became of each path.

    *together*: small files come by the thousand, and are made under their own names; else as large ones do, which get
    theirs only once they are whole.

    Raises:
        AssistError: ServerUnreachable, NeedsLogin or another one that concerns all files alike: there is no point in
            going on; the same again goes on where this ended.
    """
    with ThreadPoolExecutor(2, "restore") as threads:
        await _Restore(source, folder, report, threads, came, MAX_CONTENT_BYTES if together else -1).run(wanted)


class _Restore:
    def __init__(
        self,
        source: Source,
        folder: Folder,
        report: Report,
        threads: ThreadPoolExecutor,
        came: Came,
        small_bytes: int,
    ) -> None:
        self._came = came
        self._small_bytes = small_bytes
        self._source = source
        self._folder = folder
        self._report = report
        self._threads = threads

    async def run(self, wanted: Sequence[Wanted]) -> None:
        directories = [each for each in wanted if each.kind == "dir"]
        files = [each for each in wanted if each.kind == "file"]
        links = [each for each in wanted if each.kind == "symlink"]
        needed = {parent for each in (*files, *links) for parent in _parents(each.directory)}
        await self._in_thread(self._folder.make_directories, needed | {each.relative for each in directories})
        missing = [each async for each in self._missing(files)]
        left = await self._small([each for each in missing if each.size_bytes <= self._small_bytes])
        for each in (*left, *(each for each in missing if each.size_bytes > self._small_bytes)):
            self._report([await self._large(each)])
        for some in _chunks(links, LOOKED_AT):
            self._report(await self._in_thread(self._folder.link, some))
        self._report(await self._in_thread(self._folder.settle_directories, directories))

    async def _missing(self, files: Sequence[Wanted]) -> AsyncIterator[Wanted]:
        """Yield what must be fetched; report the rest."""
        for some in _chunks(files, LOOKED_AT):
            looked = await self._in_thread(self._folder.sort_out, some)
            self._report([done for done in looked if done is not None])
            for each, done in zip(some, looked, strict=True):
                if done is None:
                    yield each

    async def _small(self, files: Sequence[Wanted]) -> list[Wanted]:
        """Make small files; return those whose contents did not come like this."""
        places: dict[str, list[Wanted]] = defaultdict(list)
        for each in files:
            places[each.digest].append(each)
        left: list[Wanted] = []
        for asked in _requests(places):
            lacking = dict.fromkeys(asked)
            try:
                await self._portion(asked, places, lacking)
            except AssistError as error:
                if error.server_wide:
                    raise
                # asked for one by one, each says what is wrong with it
            left += [each for digest in lacking for each in places[digest]]
        return left

    async def _portion(self, asked: list[str], places: dict[str, list[Wanted]], lacking: dict[str, None]) -> None:
        """Make the files of one request; what has arrived is taken out of *lacking*."""
        writing: asyncio.Future[list[Done]] | None = None
        ready: list[tuple[Wanted, bytes]] = []
        ready_bytes = 0
        try:
            async with aclosing(self._source.contents(asked)) as arriving:
                async for digest, content in arriving:
                    if content is None or digest not in lacking:
                        continue
                    del lacking[digest]
                    ready += [(each, content) for each in places[digest]]
                    ready_bytes += len(content)
                    if len(ready) >= WRITTEN_FILES or ready_bytes >= WRITTEN_BYTES:
                        writing = await self._write(ready, writing)
                        ready, ready_bytes = [], 0
        finally:
            self._report(await (await self._write(ready, writing)))

    async def _write(
        self, ready: list[tuple[Wanted, bytes]], before: asyncio.Future[list[Done]] | None
    ) -> asyncio.Future[list[Done]]:
        """Begin to write once what was begun before is written."""
        if before is not None:
            self._report(await before)
        return asyncio.ensure_future(self._in_thread(_write_proven, self._folder, ready))

    async def _large(self, wanted: Wanted) -> Done:
        """Make one file by itself, going on where a connection broke or the server could not."""
        for number in range(TRIES):
            try:
                return wanted, await self._fetch(wanted), None
            except AssistError as error:
                if not error.server_wide:
                    return wanted, Outcome.FAILED, error
                if isinstance(error, NeedsLogin) or number + 1 == TRIES:
                    raise
                await asyncio.sleep(min(max(RESTS_S[number], error.retry_after_s or 0.0), LONGEST_REST_S))
            except FAILURES as error:
                return wanted, Outcome.FAILED, not_written(error)
        raise AssertionError("unreachable")

    async def _fetch(self, wanted: Wanted) -> Outcome:
        async with opened(self._threads, LargeFile, self._folder, wanted) as file:
            if file.offset < wanted.size_bytes:
                async with aclosing(self._source.content(wanted.digest, file.offset)) as pieces:
                    async for block in _blocks(pieces):
                        await self._in_thread(file.write, block)
                        self._came(file.offset)
                        if file.offset > wanted.size_bytes:  # it would go on until our disk is full
                            break
            return await self._in_thread(file.finish)

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await in_thread(self._threads, function, *args)


def _write_proven(folder: Folder, ready: Sequence[tuple[Wanted, bytes]]) -> list[Done]:
    """Write those whose content is what was asked for."""
    wrong: list[Done] = []
    good: list[tuple[Wanted, bytes]] = []
    known: dict[int, str] = {}
    for wanted, content in ready:
        if id(content) not in known:  # copies share their content
            known[id(content)] = digest_of(content)
        if known[id(content)] == wanted.sha256:
            good.append((wanted, content))
        else:
            wrong.append((wanted, Outcome.FAILED, ServerNonsense(NOT_THE_CONTENT)))
    return wrong + folder.write(good)


def _requests(places: dict[str, list[Wanted]]) -> Iterator[list[str]]:
    """Yield the digests in portions that one request may ask for."""
    portion: list[str] = []
    total = 0
    for digest, files in places.items():
        if portion and (len(portion) == MAX_CONTENTS or total + files[0].size_bytes > ASKED_BYTES):
            yield portion
            portion, total = [], 0
        portion.append(digest)
        total += files[0].size_bytes
    if portion:
        yield portion


async def _blocks(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield *pieces* joined: a thread hop for each of them would cost more than the bytes."""
    joined: list[bytes] = []
    total = 0
    async for piece in pieces:
        joined.append(piece)
        total += len(piece)
        if total >= 1 << 20:
            yield b"".join(joined)
            joined, total = [], 0
    if joined:
        yield b"".join(joined)


def _parents(directory: bytes) -> Iterable[bytes]:
    parts = directory.split(b"/")
    return (b"/".join(parts[: count + 1]) for count in range(len(parts)))


def _chunks(items: Sequence[Wanted], size: int) -> Iterator[Sequence[Wanted]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
