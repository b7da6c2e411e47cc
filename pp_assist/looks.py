"""Looks at disks that may never answer, a dead network folder's say: a few at a time, and nobody waits for ever."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pp_assist.api.folders import FolderProblem
from pp_assist.sftp.threads import in_thread

AT_A_TIME = 2
PATIENCE_S = 10.0

T = TypeVar("T")


class Looks:
    """Threads of their own, for nothing else to wait behind. A look that hangs keeps its place until it ends."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_A_TIME)

    async def look(self, function: Callable[..., T], *args: object) -> T:
        """Return what *function* returns, run in a thread.

        Raises:
            FolderProblem: the disk does not answer in time, or too many others do not.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._places.acquire()
        except TimeoutError as error:
            text = f"{AT_A_TIME} other folders are being looked into, on disks that do not answer; try again later"
            raise FolderProblem(503, "no_answer", text) from error
        looking = asyncio.ensure_future(in_thread(function, *args))
        looking.add_done_callback(self._ended)
        await asyncio.wait([looking], timeout=PATIENCE_S)
        if not looking.done():
            raise FolderProblem(503, "no_answer", f"the disk did not answer within {PATIENCE_S:.0f} s")
        return looking.result()

    def _ended(self, looking: "asyncio.Future[T]") -> None:
        self._places.release()
        if not looking.cancelled():
            looking.exception()  # of one that nobody waits for any more, too
