"""Reading a span of a file, also where the system gives only a little of it at a time."""

import os
from pathlib import Path

import pytest

from pp_assist import posix


@pytest.mark.parametrize("at_most", [1, 7, 4096, 1 << 20])
def test_a_span_is_read_whole_however_little_comes_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_most: int
) -> None:
    content = os.urandom(20_000)
    (tmp_path / "file").write_bytes(content)
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: real(fd, min(length, at_most), offset))
    with open(tmp_path / "file", "rb") as file:
        for offset, length in ((0, 20_000), (5, 19_000), (19_990, 100), (20_000, 5), (0, 0)):
            assert posix.pread(file.fileno(), length, offset) == content[offset : offset + length]
