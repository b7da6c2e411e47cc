"""Transfers that are cut in the middle, large ones, and writers of others that are cut."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from pp_assist.sftp.connecting import Login, connect
from pp_assist.sftp.errors import RemoteChanged, SftpUnreachable
from pp_assist.sftp.fetching import SYNC_BYTES, fetch
from pp_assist.sftp.hostkeys import HostKeyRules
from tests.e2e.faultproxy import NONE, Fault, FaultProxy
from tests.e2e.harness import eventually, sha256_of
from tests.sftp.documents import pdf
from tests.sftp.dropped import Dropped, dropped
from tests.sftp.proving import fetch_large
from tests.sftp.sftp_servers import OpenSsh, SftpServer

MIB = 1 << 20


def connection(server: SftpServer, port: int | None = None) -> tuple[Any, Any]:
    told = server.config
    login = Login(told["sftp_user"], told.get("sftp_pass"), told.get("sftp_key"))
    return connect("127.0.0.1", port or server.port, login, HostKeyRules(pinned=server.fingerprint))


def remote(server: SftpServer, name: str) -> bytes:
    return os.fsencode(f"{server.path}/{name}")


def go_on() -> None:
    pass


def test_a_fetch_that_is_cut_goes_on_where_it_was(server: SftpServer, tmp_path: Path) -> None:
    data = os.urandom(30 * MIB)
    (server.root / "large").write_bytes(data)
    stat = (server.root / "large").stat()
    draft = str(tmp_path / "draft")
    version = len(data), int(stat.st_mtime)
    with FaultProxy(server.port) as proxy:
        proxy.set(Fault(cut_down_after=16 * MIB))
        client, transport = connection(server, proxy.port)
        with pytest.raises(SftpUnreachable):
            fetch(client, remote(server, "large"), *version, draft, go_on)
        transport.close()
        have = os.path.getsize(draft)
        assert 8 * MIB < have < 17 * MIB
        proxy.set(NONE)
        client, transport = connection(server, proxy.port)
        came = fetch(client, remote(server, "large"), *version, draft, go_on)
        transport.close()
    assert Path(draft).read_bytes() == data
    assert came <= len(data) - have + SYNC_BYTES


@pytest.mark.parametrize("error", [EOFError(), paramiko.SSHException("gone"), OSError("Socket is closed")])
def test_a_connection_that_breaks_once_a_file_is_open_is_no_refusal(tmp_path: Path, error: Exception) -> None:
    class Breaking:
        """A client and a file of it."""

        def open(self, *_: object) -> "Breaking":
            return self

        def stat(self) -> None:
            raise error

        close = stat

    with pytest.raises(SftpUnreachable):
        fetch(Breaking(), b"/a", 1, 1, str(tmp_path / "draft"), go_on)


def test_a_fetch_of_what_changes_is_given_up(server: SftpServer, tmp_path: Path) -> None:
    file = server.root / "a"
    file.write_bytes(b"x" * 5 * MIB)
    mtime = int(file.stat().st_mtime)
    client, transport = connection(server)
    steps = 0

    def shorten() -> None:
        nonlocal steps
        steps += 1
        if steps == 1:
            os.truncate(file, MIB)

    with pytest.raises(RemoteChanged):
        fetch(client, remote(server, "a"), 5 * MIB, mtime, str(tmp_path / "draft"), shorten)
    assert not (tmp_path / "draft").exists()
    assert client.listdir(server.path or ".") == ["a"]  # the client is as good as before
    transport.close()


def test_names_that_are_no_text_are_listed(openssh: OpenSsh) -> None:
    from pp_assist.sftp.connecting import list_folder

    for name in (b"caf\xe9", b"plain"):
        (Path(os.fsdecode(os.fsencode(openssh.root) + b"/" + name))).write_bytes(b"1")
    client, transport = connection(openssh)
    assert sorted(entry.name for entry in list_folder(client, openssh.path)) == [b"caf\xe9", b"plain"]
    transport.close()


def test_a_large_file_and_a_daemon_killed_in_the_middle_of_it(openssh: OpenSsh) -> None:
    """128 MiB here; `make prove-sftp` has 1 GiB."""
    with dropped(openssh) as folder:
        fetch_large(folder, 128)


# -- writers of others, cut in the middle


@pytest.fixture
def folder(openssh: OpenSsh) -> Iterator[Dropped]:
    with dropped(openssh) as made:
        yield made


def ssh_options(folder: Dropped) -> list[str]:
    assert isinstance(folder.server, OpenSsh)
    key, known = folder.server.user_key, folder.server.known_hosts
    return [
        "-o", f"IdentityFile={key}", "-o", f"UserKnownHostsFile={known}", "-o", "IdentitiesOnly=yes",
        "-o", "BatchMode=yes", "-o", f"Port={folder.server.port}",
    ]  # fmt: skip


def slow_pdf(folder: Path) -> Path:
    local = folder / "foreign.pdf"
    local.write_bytes(pdf(7, 8 * MIB))
    return local


def begin_writing(writer: str, folder: Dropped, local: Path) -> "subprocess.Popen[bytes]":
    """Start somebody else's program that writes a PDF, slowly, under its own name."""
    assert isinstance(folder.server, OpenSsh)
    user, target = folder.server.config["sftp_user"], folder.inbox
    if writer == "sftp":
        batch = local.parent / "batch"
        batch.write_text(f"put {local} {target}/\n")
        command = ["sftp", "-q", "-l", "24000", *ssh_options(folder), "-b", str(batch), f"{user}@127.0.0.1"]
    elif writer == "lftp":
        source = local.parent / "mirrored"
        source.mkdir(exist_ok=True)
        shutil.copy(local, source)
        connect_program = "ssh -a -x " + " ".join(ssh_options(folder))
        script = (
            f'set sftp:connect-program "{connect_program}"; set net:limit-rate 3000000; set sftp:auto-confirm yes; '
            f"set xfer:use-temp-file no; open sftp://{user}:@127.0.0.1:{folder.server.port}; "
            f"mirror -R {source} {target}; exit"
        )
        command = ["lftp", "-c", script]
    elif writer == "curl":
        public = f"{folder.server.user_key}.pub"
        command = [
            "curl", "-sS", "--limit-rate", "3M", "--insecure", "--key", str(folder.server.user_key), "--pubkey", public,
            "-u", f"{user}:", "-T", str(local), f"sftp://127.0.0.1:{folder.server.port}{target}/",
        ]  # fmt: skip
    else:
        mount = local.parent / "mount"
        mount.mkdir(exist_ok=True)
        options = [word for word in ssh_options(folder) if word != f"Port={folder.server.port}"]
        where = f"{user}@127.0.0.1:{target}"
        subprocess.run(["sshfs", "-p", str(folder.server.port), *_pairs(options), where, str(mount)], check=True)
        copy = f"import shutil,time\nr=open({str(local)!r},'rb')\nw=open({str(mount / local.name)!r},'wb')\n"
        copy += "while b:=r.read(1<<20):\n w.write(b); w.flush(); time.sleep(0.2)\n"
        command = ["python3", "-c", copy]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _pairs(words: list[str]) -> list[str]:
    return [word for word in words if word != "-o"] and [
        each for word in words if word != "-o" for each in ("-o", word)
    ]


WRITERS = ["sftp", "curl", "lftp", *(["sshfs"] if os.access("/dev/fuse", os.R_OK | os.W_OK) else [])]


@pytest.mark.parametrize("writer", WRITERS)
def test_half_of_what_others_write_is_never_taken(writer: str, folder: Dropped, tmp_path: Path) -> None:
    if shutil.which(writer) is None:
        pytest.skip(f"{writer} is not installed (Debian: {writer})")
    folder.begin(after="move", patterns=["*.pdf"])
    local = slow_pdf(tmp_path)
    written = folder.inbox / local.name
    try:
        writing = begin_writing(writer, folder, local)
        eventually(lambda: written.exists() and written.stat().st_size > MIB, 60)
        os.killpg(writing.pid, signal.SIGKILL)
        writing.communicate()
        half = eventually(lambda: _rests(written), 20)
        assert half < local.stat().st_size
        shown = folder.until(lambda facts: facts["not_whole"] == 1)
        assert (shown["settled"], folder.stored()) == (0, {})
        time.sleep(1.5)
        assert folder.stored() == {}
        whole = begin_writing(writer, folder, local)
        _, said = whole.communicate(timeout=90)
        assert whole.returncode == 0, said
        folder.until_stored({local.name: sha256_of(os.fsencode(local))}, 60)
    finally:
        if writer == "sshfs":
            subprocess.run(["fusermount3", "-u", "-z", str(tmp_path / "mount")], check=False)


def _rests(path: Path) -> int:
    before = path.stat().st_size
    time.sleep(1.0)
    return before if path.stat().st_size == before else 0
