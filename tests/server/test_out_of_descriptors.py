"""A server that has run out of file descriptors cannot read content; that does not make the content bad."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from serving import CHUNK, Client, Server, content, sha

LARGE = 300 * 1024


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """Let nothing be opened inside the block."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_content_that_cannot_be_opened_now_is_not_put_aside(server: Server, client: Client) -> None:
    stored = [content(CHUNK), content(LARGE)]
    for n, data in enumerate(stored):
        upload_id = await client.begin(f"/{n}", data, chunk_size=LARGE)
        assert (await client.put(upload_id, 0, data)).status_code == 200
        assert (await client.complete(upload_id)).status_code == 200
        assert (await client.download(sha(data))).content == data
    with no_more_descriptors():
        refused = [await client.download(sha(data)) for data in stored]
    assert [answer.status_code for answer in refused] == [503, 503]
    for data in stored:
        assert (await client.download(sha(data))).content == data, "acknowledged, and nobody lost it"
    assert not list((server.data_dir / "quarantine").iterdir())


async def test_chunks_that_cannot_be_read_now_are_not_thrown_away(server: Server, client: Client) -> None:
    data = content(3 * CHUNK)
    upload_id = await client.begin("/a", data)
    await client.send(upload_id, data)
    with no_more_descriptors():
        assert (await client.complete(upload_id)).status_code == 503
    assert (await client.complete(upload_id)).status_code == 200
    assert (await server.stats())["bytes_received"] == len(data), "nothing was sent twice"
