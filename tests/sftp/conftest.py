"""Both servers, and a service whose memory is in the test's own folder."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pp_assist.sftp import SftpService
from tests.sftp.sftp_servers import SSHD, OpenSsh, Other, SftpServer, running


@pytest.fixture
def sshd() -> None:
    """OpenSSH's server is installed."""
    if not os.path.exists(SSHD):
        pytest.skip("sshd is not installed (Debian: openssh-server)")


@pytest.fixture
def openssh(tmp_path: Path, sshd: None) -> Iterator[OpenSsh]:
    with running(OpenSsh(tmp_path / "openssh")) as server:
        assert isinstance(server, OpenSsh)
        yield server


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Other]:
    with running(Other(tmp_path / "other")) as server:
        assert isinstance(server, Other)
        yield server


@pytest.fixture(params=["openssh", "other"])
def server(request: pytest.FixtureRequest) -> SftpServer:
    found: SftpServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SftpService]:
    made = SftpService(known_hosts=str(tmp_path / "remembered"), state_file=str(tmp_path / "sftp.db"), rest_seconds=0.2)
    yield made
    made.close_all_connections()
