"""The storage alone: dictionaries by key."""

import asyncio

from pp_assist.indexedcp import create_storage


async def main() -> None:
    """Save, load, list, count, clean up."""
    async with create_storage("sqlite", db_path="./demo_storage.db", table_name="people") as storage:
        await storage.save("user:123", {"name": "Alice", "age": 30, "tags": ["a", None, True]})
        print(await storage.load("user:123"))
        print(await storage.exists("user:123"), await storage.list(), await storage.count())
        print("cleaned up:", await storage.cleanup_old(30 * 24 * 3600))
        print("deleted:", await storage.delete("user:123"))


asyncio.run(main())
