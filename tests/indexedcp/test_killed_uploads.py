"""Client and server are killed while they work: nothing is lost, nothing is doubled, little is sent again."""

import asyncio
import os
from pathlib import Path

import pytest
from programs import Pair

from pp_assist.indexedcp import IndexedCPClient

MIB = int(os.environ.get("PP_INDEXEDCP_MIB", "12"))
KILLS = int(os.environ.get("PP_INDEXEDCP_KILLS", "6"))
"""200 and 50 for the whole proof."""

CHUNK = 256 << 10


@pytest.mark.timeout(1200)
def test_killed_at_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    contents = {"large.bin": os.urandom(MIB << 20), "small.txt": b"small", "empty": b""}

    async def add() -> int:
        async with IndexedCPClient(storage_path=str(tmp_path / "client.db"), chunk_size=CHUNK) as client:
            return sum([await client.add_file(name) for name in contents])

    for name, content in contents.items():
        Path(name).write_bytes(content)
    chunks = asyncio.run(add())
    pair = Pair(tmp_path)
    try:
        kills = pair.kill_while_it_works(chunks, KILLS, seed=MIB)
    finally:
        pair.stop()
    files = {path.name: path for path in pair.uploads.iterdir() if ".indexcp_" not in path.name}
    assert {name: path.read_bytes() for name, path in files.items()} == contents
    again = pair.posted() - chunks
    print(f"{kills} kills, {chunks} chunks, {again} sent again")
    assert kills == KILLS and again <= kills
    assert not [path for path in pair.uploads.iterdir() if path.name.endswith(".part")]
