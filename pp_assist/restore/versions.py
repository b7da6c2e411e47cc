"""The versions that the server has of one path, deletions among them."""

from collections import deque
from contextlib import aclosing

from pp_assist.core.errors import ServerNonsense
from pp_assist.restore.source import Source
from pp_assist.restore.when import When
from pp_server.wire.names import from_json
from pp_server.wire.restore import TreeEntry

EVERY = When(every=True)
MOST = 1000


async def versions(source: Source, host_id: str, filepath: bytes) -> tuple[list[TreeEntry], int]:
    """Return the newest versions of exactly this path, at most MOST, oldest first; and how many there are in all.

    Raises:
        AssistError: the server cannot be asked, or is too old for that, or names no path.
    """
    await source.greet(EVERY)
    found: deque[TreeEntry] = deque(maxlen=MOST)
    total = 0
    async with aclosing(source.tree(filepath, {"host_id": host_id}, EVERY)) as entries:
        async for entry in entries:
            if _path_of(entry) != filepath:
                break  # what lies below it comes behind it
            found.append(entry)
            total += 1
    return list(found), total


def _path_of(entry: TreeEntry) -> bytes:
    try:
        return from_json(entry.filepath, entry.filepath_b64)
    except ValueError as error:
        raise ServerNonsense(f"it lists what is no path: {error}") from error
