"""What the client does, against server_demo.py: python client_demo.py [URL]."""

import asyncio
import os
import sys

from pp_assist.indexedcp import IndexedCPClient

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:3000"


def make(name: str, size: int) -> str:
    """Make a file of random bytes."""
    with open(name, "wb") as file:
        file.write(os.urandom(size))
    return name


async def main() -> None:
    """Small, several, large, a look into the buffer, and a server that is down."""
    client = IndexedCPClient(URL, api_key="demo-key", storage_path="./demo.db", log_level="WARNING")
    async with client:
        await client.add_file(make("small.txt", 100))
        print("small:", await client.upload_buffered_files())

        for n in range(3):
            await client.add_file(make(f"several{n}.txt", 1000))
        print("several:", await client.upload_buffered_files())

        print("large:", await client.add_file(make("large.bin", 3_670_016)), "chunks")
        for record in await client.storage.load_all():
            print("  in the buffer:", record["id"], len(record["data"]) // 2, "bytes", record["status"])
        print("large:", await client.upload_buffered_files())

    arrived = asyncio.Event()
    away = IndexedCPClient(
        "http://127.0.0.1:9",
        api_key="demo-key",
        storage_path="./demo.db",
        initial_retry_delay=0.1,
        log_level="ERROR",
        on_upload_error=lambda error: print("the server is down:", type(error).__name__),
        on_upload_complete=lambda summary: (print("in the background:", summary), arrived.set()),
    )
    async with away:
        await away.add_file(make("later.txt", 500))
        await away.start_upload_background(check_interval=0.2)
        await asyncio.sleep(0.5)
        await away.stop_upload_background()
        await away.start_upload_background(URL, check_interval=0.2)  # the server is back
        await asyncio.wait_for(arrived.wait(), 30)


asyncio.run(main())
