"""The versions that the server has of one path, deletions among them."""

from contextlib import aclosing

from pp_assist.restore.source import Source
from pp_assist.restore.when import When
from pp_server.wire.names import from_json
from pp_server.wire.restore import TreeEntry

EVERY = When(every=True)


async def versions(source: Source, host_id: str, filepath: bytes) -> list[TreeEntry]:
    """Return all versions of exactly this path, oldest first.

    Raises:
        AssistError: the server cannot be asked, or is too old for that.
    """
    await source.greet(EVERY)
    found: list[TreeEntry] = []
    async with aclosing(source.tree(filepath, {"host_id": host_id}, EVERY)) as entries:
        async for entry in entries:
            if from_json(entry.filepath, entry.filepath_b64) != filepath:
                break  # what lies below it comes behind it
            found.append(entry)
    return found
