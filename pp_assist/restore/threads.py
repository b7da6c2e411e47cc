"""Work in threads that use our descriptors: it is waited for, also by whoever is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class Closable(Protocol):
    """Something that has descriptors."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


async def in_thread(threads: Executor | None, function: Callable[..., T], *args: object) -> T:
    """Run in a thread of *threads*, or of the event loop's; cancelled: once the thread has ended."""
    return await _outlasted(asyncio.get_running_loop().run_in_executor(threads, function, *args))


@asynccontextmanager
async def opened(threads: Executor | None, opening: Callable[..., C], *args: object) -> AsyncIterator[C]:
    """Yield what *opening* opens in a thread; at the end it is closed, also if we were cancelled before."""
    future = asyncio.get_running_loop().run_in_executor(threads, opening, *args)
    try:
        yield await _outlasted(future)
    finally:
        if not future.cancelled() and future.exception() is None:
            future.result().close()


async def _outlasted(future: "asyncio.Future[T]") -> T:
    """Wait for the end of *future*, however often we are cancelled; then be cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not future.cancelled():
            future.exception()  # nobody will ask for it
        raise cancelled
    return future.result()
