"""Threads for what blocks on a network that may never answer: the end of the program waits for none of them."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Return what *function* returns, run in a thread of its own. Cancelled: it ends by itself, unheard."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = function(*args)
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: the program ends
            loop.call_soon_threadsafe(tell, result, error)

    start(run)
    return await future


def start(function: Callable[[], object]) -> threading.Thread:
    """Run *function* in a thread of its own, which may outlive everything."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def some_at_a_time(work: Callable[[T], object], items: Sequence[T], most: int) -> None:
    """Do *work* with each of *items*, *most* at a time; after an error none is begun any more, and it is raised."""
    waiting = iter(items)
    errors: list[BaseException] = []
    taking = threading.Lock()

    def run() -> None:
        while not errors:
            with taking:
                item = next(waiting, None)
            if item is None:
                return
            try:
                work(item)
            except BaseException as error:
                errors.append(error)

    threads = [start(run) for _ in range(min(most, len(items)) - 1)]
    run()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
