"""IndexedCP within the server: a folder for each owner, from which whole files go on to become versions."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from pp_server.core.errors import ServerError
from pp_server.core.model import Caller
from pp_server.durable import Durable
from pp_server.indexedcp.folder import Folder
from pp_server.indexedcp.model import Finished
from pp_server.indexedcp.placing import Rules
from pp_server.indexedcp.receiving import Receiver
from pp_server.wire.names import display

log = logging.getLogger(__name__)

HOST = "indexedcp"
"""The host whose files arrivals are, where the key does not name one."""

RECORDS = "records.db"
AGAIN_S = 5.0
"""Until what failed is tried again, and between two looks for uploads that were left alone."""

Keep = Callable[[int, str, bytes, int, str], Awaitable[None]]
"""Make a version of (owner, host, path, generation) from the file at a place; durable when it returns."""

Entry = tuple[int, Receiver, Finished]


class Mounted:
    """The folders of all owners. For one event loop; its blocking work is done in *executor*."""

    def __init__(self, root: str, rules: Rules, durable: Durable, executor: Executor, keep: Keep) -> None:
        self._root = root
        self._rules = rules
        self._durable = durable
        self.executor = executor
        self._keep = keep
        self._receivers: dict[int, Receiver] = {}
        self._opening = asyncio.Lock()
        self._whole: asyncio.Queue[Entry] = asyncio.Queue()

    async def receiver(self, caller: Caller) -> tuple[str, Receiver]:
        """Return who the caller is in the owner's folder, and that folder."""
        return f"{caller.key_id}:{caller.host_id or HOST}", await self._of(caller.owner_id)

    async def _of(self, owner_id: int) -> Receiver:
        async with self._opening:
            if owner_id not in self._receivers:
                loop = asyncio.get_running_loop()

                def finished(over: Finished) -> None:
                    loop.call_soon_threadsafe(lambda: self._whole.put_nowait((owner_id, receiver, over)))

                receiver = await loop.run_in_executor(self.executor, self._open, owner_id, finished)
                self._receivers[owner_id] = receiver
                for over in await loop.run_in_executor(self.executor, receiver.whole.unkept):
                    self._whole.put_nowait((owner_id, receiver, over))
            return self._receivers[owner_id]

    def _open(self, owner_id: int, finished: Callable[[Finished], None]) -> Receiver:
        home = os.path.join(self._root, str(owner_id))
        folder = Folder(os.path.join(home, "files"), self._durable, 0o600)
        return Receiver(folder, os.path.join(home, RECORDS), self._rules, self._durable, finished)

    async def run(self) -> None:
        """Take up what was there at the start, and have whole files become versions, until cancelled."""
        for owner_id in self._owners():
            await self._of(owner_id)
        while True:
            try:
                entry = await asyncio.wait_for(self._whole.get(), AGAIN_S)
            except TimeoutError:
                await self._end_idle()
                continue
            await self._keep_one(entry)

    def _owners(self) -> list[int]:
        """Return those who used it before."""
        return sorted(int(name) for name in os.listdir(self._root)) if os.path.isdir(self._root) else []

    async def _end_idle(self) -> None:
        loop = asyncio.get_running_loop()
        for receiver in list(self._receivers.values()):
            try:
                await loop.run_in_executor(self.executor, receiver.end_idle)
            except ServerError as error:
                log.warning("uploads that were left alone could not be ended: %s", error)

    async def _keep_one(self, entry: Entry) -> None:
        owner_id, receiver, over = entry
        loop = asyncio.get_running_loop()
        host = over.identity[0].partition(":")[2]
        path = os.fsencode("/" + "/".join(over.parts))
        try:
            await self._keep(owner_id, host, path, over.finished_ms, receiver.whole.path_of(over))
            await loop.run_in_executor(self.executor, receiver.whole.forget, over)
        except Exception as error:
            if await self._is_lost(receiver, over):
                log.error("an arrival is gone from its folder, and was not stored: %s", display(path))
                return
            log.error("an arrival could not be stored yet; it is tried again in %.0f s", AGAIN_S, exc_info=error)
            loop.call_later(AGAIN_S, self._whole.put_nowait, entry)

    async def _is_lost(self, receiver: Receiver, over: Finished) -> bool:
        try:
            return await asyncio.get_running_loop().run_in_executor(self.executor, receiver.whole.is_lost, over)
        except (ServerError, OSError):
            return False  # nobody knows: it is tried again

    def close(self) -> None:
        """Let go of the records."""
        for receiver in self._receivers.values():
            receiver.close()
