"""A large file and two small ones are uploaded while client and server are killed: right, and little is sent again."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from pp_assist.indexedcp import IndexedCPClient
from tests.indexedcp.programs import Pair


@dataclass
class Found:
    """What a proof found."""

    kills: int
    chunks: int
    sent_again: int


def upload_and_kill(home: Path, mib: int, chunk_bytes: int, kills: int, seed: int, timeout_s: float) -> Found:
    """Upload *mib* MiB from *home*, the current folder, while one or the other is killed *kills* times."""
    contents = {"large.bin": os.urandom(mib << 20), "small.txt": b"small", "empty": b""}

    async def add() -> int:
        async with IndexedCPClient(storage_path=str(home / "client.db"), chunk_size=chunk_bytes) as client:
            return sum([await client.add_file(name) for name in contents])

    for name, content in contents.items():
        (home / name).write_bytes(content)
    chunks = asyncio.run(add())
    pair = Pair(home)
    try:
        done = pair.kill_while_it_works(chunks, kills, seed, timeout_s)
    finally:
        pair.stop()
    files = {path.name: path for path in pair.uploads.iterdir() if ".indexcp_" not in path.name}
    assert {name: path.read_bytes() for name, path in files.items()} == contents
    assert not [path for path in pair.uploads.iterdir() if path.name.endswith(".part")]
    found = Found(done, chunks, pair.posted() - chunks)
    assert found.kills == kills, f"only {found.kills} kills"
    assert found.sent_again <= kills, f"{found.sent_again} chunks were sent again after {kills} kills"
    return found
