"""How much is to be done about a drop folder is known while it is done, and before it can be."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pp_assist.core.drop_folders import DropOptions
from pp_assist.core.model import Root
from pp_assist.core.sftp_url import parse
from pp_assist.sftp.clearing import Keeping
from pp_assist.sftp.ledger import Ledger
from pp_assist.sftp.polling import Seen
from pp_assist.sftp.pool import Pool
from pp_assist.sftp.spool import Room, Spool
from pp_assist.sftp.watching import Tools, Watching
from tests.sftp.sftp_servers import PASSWORD, USER, Other

NOW_MS = 1_800_000_000_000


class Watched:
    """A drop folder whose turns are had one by one."""

    def __init__(self, state: Path, port: int, host_key: str) -> None:
        self.ledger = Ledger(str(state / "sftp.db"))
        self.url = f"sftp://{USER}@127.0.0.1:{port}/in"
        self.pool = Pool()
        self.now = 0
        spool = Spool(str(state), self.url)
        spool.make()
        root = Root(1, b"", self.url.encode(), True, True, 0, 0, 0, None, "healthy", None, "archive", (), None)
        options = DropOptions(password=PASSWORD, host_key=host_key, rest_s=0.0, interval_s=0.1)
        tools = Tools(self.ledger, None, self.pool, Keeping(1 << 40, 1 << 40), Room(), self.mono_ms)  # type: ignore[arg-type]
        left_out = lambda files: [False] * len(files)  # noqa: E731
        self.watching = Watching(root, parse(self.url), options, spool, tools, left_out)

    def mono_ms(self) -> int:
        self.now += 1000
        return self.now


@pytest.fixture
def watched(other: Other, tmp_path: Path) -> Iterator[Watched]:
    (other.root / "in").mkdir()
    made = Watched(tmp_path, other.port, other.fingerprint)
    yield made
    made.pool.close()


def test_what_is_found_is_to_do_while_it_is_fetched(
    watched: Watched, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (other.root / "in" / name).write_bytes(b"x")
    during: list[int] = []

    def advance(_: Any) -> int:
        during.append(watched.watching.to_do)
        return 0

    monkeypatch.setattr(watched.watching._folder, "advance", advance)
    for _ in range(2):
        watched.watching.look_soon()
        watched.watching.turn(NOW_MS)
    assert during == [2, 2]
    assert watched.watching.to_do == 2
    assert watched.watching.facts()["found"] == 2


def test_what_was_found_in_an_earlier_life_is_to_do_while_nobody_answers(tmp_path: Path) -> None:
    watched = Watched(tmp_path, 1, "SHA256:" + "A" * 43)
    watched.ledger.add(watched.url, [(b"a", Seen(1, 1))])
    watched.watching.turn(NOW_MS)
    assert watched.watching.problem is not None
    assert watched.watching.to_do == 1
