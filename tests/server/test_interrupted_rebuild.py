"""Making the database again can be interrupted: a server never finds half of the records and serves them."""

import shutil
from pathlib import Path

import pytest
from serving import client_put, content, sha

from pp_server import offline
from pp_server.core.errors import StartRefused
from pp_server.settings import Settings

FILES = {f"/{n}": content(500 + n, n) for n in range(20)}


async def with_a_log_that_cannot_be_believed(running, tmp_path: Path) -> Settings:
    """A server with files, in whose log the last file is that of another server: every rebuild ends there."""
    data_dir = tmp_path / "data"
    for name in ("other", "ours"):
        async with running() as server:
            client = await server.client()
            answer = await client.batch(*(client_put(path, data, gen=1) for path, data in FILES.items()))
            assert {result["status"] for result in answer.json()["results"]} == {"stored"}
        if name == "other":
            data_dir.rename(tmp_path / name)
    foreign = next((tmp_path / "other" / "receipts").iterdir())
    shutil.copy(foreign, data_dir / "receipts" / f"9{foreign.name}")
    return Settings(data_dir=data_dir)


async def test_a_rebuild_that_fails_leaves_the_database_as_it_was(running, tmp_path: Path) -> None:
    settings = await with_a_log_that_cannot_be_believed(running, tmp_path)
    with pytest.raises(StartRefused, match="several servers"):
        await offline.rebuild(settings, force=True)
    async with running() as server:
        client = await server.client()
        assert sorted(await client.listed()) == sorted(FILES)
        for data in FILES.values():
            assert (await client.download(sha(data))).content == data


async def test_a_rebuild_that_fails_leaves_no_half_database_to_be_served(running, tmp_path: Path) -> None:
    settings = await with_a_log_that_cannot_be_believed(running, tmp_path)
    for part in (tmp_path / "data" / "meta").glob("pp.db*"):
        part.unlink()
    for _ in range(2):
        with pytest.raises(StartRefused, match="several servers"):
            await offline.rebuild(settings, force=False)
        with pytest.raises(StartRefused, match="rebuild"):
            async with running():
                pass
    next((tmp_path / "data" / "receipts").glob("9*")).unlink()
    assert (await offline.rebuild(settings, force=False))["versions"] == len(FILES)
    async with running() as server:
        assert sorted(await (await server.client()).listed()) == sorted(FILES)
    assert [path.name for path in (tmp_path / "data" / "meta").glob("pp.db*")] == ["pp.db"]
