"""paramiko is an extra: without it all else works, and what needs it says its name. The old import name works, too."""

import subprocess
import sys
from pathlib import Path

from pp_assist.cli_aliases import folder

HIDDEN = """
import sys
sys.modules["paramiko"] = None
"""


def run(program: str, tmp_path: Path, *path: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={"PYTHONPATH": ":".join([str(Path(__file__).parents[2]), *path]), "HOME": str(tmp_path)},
    )  # fmt: skip
    return done.stdout


def test_without_paramiko_the_error_names_the_extra(tmp_path: Path) -> None:
    program = (
        HIDDEN
        + """
import asyncio
import pp_assist, pp_assist.cli, pp_assist.run
from pp_assist.sftp import SftpService, SftpError
service = SftpService()
config = {"project_id": "p", "sftp_host": "127.0.0.1", "sftp_port": 1, "sftp_user": "u", "sftp_pass": "p"}
assert asyncio.run(service.connect_to_sftp(config)) == (None, None)
assert asyncio.run(service.upload_file_to_folder("", "p", "x", config)) is False
assert asyncio.run(service.get_file_from_sftp("x", config)) is None
try:
    service.get_sftp_connection(config)
except SftpError as error:
    print(error)
"""
    )
    assert "putplace-assist[sftp]" in run(program, tmp_path)


def test_neither_the_daemon_nor_the_package_imports_paramiko(tmp_path: Path) -> None:
    program = """
import sys
import pp_assist.run, pp_assist.cli, pp_assist.sftp
print([name for name in sys.modules if name.split(".")[0] == "paramiko"])
"""
    assert run(program, tmp_path).strip() == "[]"


def test_the_old_import_name(tmp_path: Path) -> None:
    program = """
from outamation_pkg_sftp import SftpService
from pp_assist.sftp import SftpService as ours
print(SftpService is ours)
"""
    assert run(program, tmp_path, folder()).strip() == "True"
