"""A server that names absurd generations must not spoil ours: they would begin above them for ever."""

import json

import pytest

from pp_assist.core.errors import ServerNonsense, Stale
from pp_assist.http import Answer
from pp_assist.uploader.client import UploadClient, accepted, read_batch
from pp_server.wire.messages import MAX_INT


class Answering:
    """Stands for the connections: whatever is asked, *body* is the answer."""

    def __init__(self, body: object) -> None:
        self.body = body

    async def request(self, method: str, path: str, **rest: object) -> Answer:
        return answer(self.body)


def answer(body: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode(), None)


@pytest.mark.parametrize("gen", [-1, MAX_INT, 2**63 - 1, 2**63])
async def test_they_are_nonsense(gen: int) -> None:
    client = UploadClient(Answering({"host_id": "h", "hostname": "", "highest_gen": gen}))  # type: ignore[arg-type]
    with pytest.raises(ServerNonsense):
        await client.host("h", "run")
    with pytest.raises(ServerNonsense):
        accepted(answer({"code": "stale", "detail": "", "gen": gen}, 409))
    with pytest.raises(ServerNonsense):
        read_batch(answer({"results": [{"status": "stale", "gen": gen}]}), 1)


async def test_others_are_what_they_are() -> None:
    client = UploadClient(Answering({"host_id": "h", "hostname": "", "highest_gen": 7}))  # type: ignore[arg-type]
    assert (await client.host("h", "run")).highest_gen == 7
    with pytest.raises(Stale):
        accepted(answer({"code": "stale", "detail": "", "gen": 7}, 409))
    assert read_batch(answer({"results": [{"status": "stale", "gen": 7}]}), 1).results[0].gen == 7
