"""`make prove-sftp` in small."""

from pathlib import Path

from tests.sftp.dropped import dropped
from tests.sftp.proving import api_process, arrive_and_kill
from tests.sftp.sftp_servers import SftpServer


def test_pdfs_arrive_while_everybody_is_killed(server: SftpServer, tmp_path: Path) -> None:
    with dropped(server) as folder, api_process(tmp_path) as api:
        found = arrive_and_kill(folder, api, 1, 60, 3, 120.0, print)
    assert found.announcements >= 12
