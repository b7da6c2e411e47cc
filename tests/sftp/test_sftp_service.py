"""Every method of `SftpService`, against OpenSSH and against asyncssh."""

import asyncio
import hashlib
import os
import random
from pathlib import Path

import paramiko
import pytest

from pp_assist.sftp import SftpService
from tests.sftp.sftp_servers import Other, SftpServer, running


def make(path: Path, size: int, seed: int = 1) -> Path:
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


async def test_the_same_connection_is_given_again(server: SftpServer, service: SftpService) -> None:
    sftp, transport = service.get_sftp_connection(server.config)
    assert isinstance(sftp, paramiko.SFTPClient)
    assert isinstance(transport, paramiko.Transport)
    assert service.get_sftp_connection(server.config) == (sftp, transport)
    sftp.listdir(server.path or ".")
    transport.close()
    another, alive = service.get_sftp_connection(server.config)
    assert another is not sftp
    assert alive.is_active()
    service.close_all_connections()
    service.close_all_connections()
    assert not alive.is_active()


async def test_a_connection_of_ones_own(server: SftpServer, service: SftpService) -> None:
    sftp, transport = await service.connect_to_sftp(server.config)
    kept, _ = service.get_sftp_connection(server.config)
    assert sftp is not kept
    assert sftp.listdir(server.path or ".") == []
    transport.close()
    nobody, nothing = await service.connect_to_sftp({**server.config, "sftp_port": 1})
    assert not nobody
    assert not nothing
    assert await service.connect_to_sftp({"project_id": "half"}) == (None, None)


async def test_a_connection_by_password(other: Other, service: SftpService) -> None:
    config = other.config
    sftp, transport = service.create_sftp_connection(
        config["sftp_host"], config["sftp_port"], config["sftp_user"], config["sftp_pass"]
    )
    assert sftp.listdir(".") == []
    transport.close()


@pytest.mark.parametrize("size", [0, 1, 32_768, 5_000_001])
async def test_files_go_there_and_back(server: SftpServer, service: SftpService, tmp_path: Path, size: int) -> None:
    local = make(tmp_path / "naïve 1.bin", size)
    assert await service.upload_file_to_folder(server.path, "p", str(local), server.config)
    assert os.listdir(server.root) == [local.name]
    assert (server.root / local.name).read_bytes() == local.read_bytes()
    remote = f"{server.path}/{local.name}".lstrip("/") if not server.path else f"{server.path}/{local.name}"
    fetched = await service.get_file_from_sftp(remote, server.config)
    assert fetched is not None
    assert Path(fetched).read_bytes() == local.read_bytes()
    again = await service.get_file_from_sftp(remote, server.config)
    assert again is not None
    assert os.path.dirname(again) != os.path.dirname(fetched)
    assert await service.remove_file_from_path(remote, server.config)
    assert os.listdir(server.root) == []
    assert not await service.remove_file_from_path(remote, server.config)
    assert await service.get_file_from_sftp(remote, server.config) is None


async def test_a_link_leads_to_what_is_fetched(openssh: SftpServer, service: SftpService) -> None:
    (openssh.root / "a").write_bytes(b"behind a link")
    (openssh.root / "link").symlink_to("a")
    fetched = await service.get_file_from_sftp(f"{openssh.path}/link", openssh.config)
    assert fetched is not None
    assert Path(fetched).read_bytes() == b"behind a link"


async def test_an_upload_takes_the_place_of_what_is_there(
    server: SftpServer, service: SftpService, tmp_path: Path
) -> None:
    local = make(tmp_path / "a.bin", 1000)
    for seed in (1, 2):
        make(local, 1000 * seed, seed)
        assert await service.upload_file_to_folder(server.path, "p", str(local), server.config)
        assert (server.root / "a.bin").read_bytes() == local.read_bytes()
    assert os.listdir(server.root) == ["a.bin"]
    assert not await service.upload_file_to_folder(f"{server.path}/nowhere", "p", str(local), server.config)
    assert not await service.upload_file_to_folder(server.path, "p", str(tmp_path / "none"), server.config)


async def test_a_server_without_posix_rename(service: SftpService, tmp_path: Path) -> None:
    server = Other(tmp_path / "plain")
    server.options = ("--no-posix-rename",)
    local = make(tmp_path / "a.bin", 1000)
    with running(server):
        for seed in (1, 2):
            make(local, 1000, seed)
            assert await service.upload_file_to_folder("", "p", str(local), server.config)
        assert (server.root / "a.bin").read_bytes() == local.read_bytes()
        assert os.listdir(server.root) == ["a.bin"]


async def test_a_file_that_grows_is_not_fully_uploaded(server: SftpServer, service: SftpService) -> None:
    sftp, _ = service.get_sftp_connection(server.config)
    path = f"{server.path}/a" if server.path else "a"
    (server.root / "a").write_bytes(b"a")

    async def grow() -> None:
        await asyncio.sleep(0.1)
        (server.root / "a").write_bytes(b"ab")

    growing = asyncio.create_task(grow())
    assert not await asyncio.to_thread(service.is_file_fully_uploaded, sftp, path, 0.3)
    await growing
    assert service.is_file_fully_uploaded(sftp, path, delay=0.05)
    assert not service.is_file_fully_uploaded(sftp, path + "-not", delay=0.05)


async def test_twenty_operations_at_a_time_on_one_pool(
    server: SftpServer, service: SftpService, tmp_path: Path
) -> None:
    files = [make(tmp_path / f"{number}.bin", 100_000 + number, number) for number in range(20)]
    went = [service.upload_file_to_folder(server.path, "one", str(file), server.config) for file in files]
    assert await asyncio.gather(*went) == [True] * 20
    config = {**server.config, "project_id": "one"}
    prefix = f"{server.path}/" if server.path else ""
    came = await asyncio.gather(*[service.get_file_from_sftp(f"{prefix}{file.name}", config) for file in files])
    for file, fetched in zip(files, came, strict=True):
        assert fetched is not None
        assert Path(fetched).read_bytes() == file.read_bytes()
    assert len(os.listdir(server.root)) == 20


async def test_nothing_blocks_the_event_loop(server: SftpServer, service: SftpService, tmp_path: Path) -> None:
    local = make(tmp_path / "a.bin", 8_000_000)
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)

    watching = asyncio.create_task(watch())
    assert await service.upload_file_to_folder(server.path, "p", str(local), server.config)
    watching.cancel()
    assert longest < 0.5


async def test_a_restarted_server_is_found_again_under_load(
    server: SftpServer, service: SftpService, tmp_path: Path
) -> None:
    files = [make(tmp_path / f"{number}.bin", 2_000_000, number) for number in range(12)]
    going = [
        asyncio.create_task(service.upload_file_to_folder(server.path, "p", str(file), server.config)) for file in files
    ]
    await asyncio.sleep(0.3)
    await asyncio.to_thread(server.restart)
    assert await asyncio.gather(*going) == [True] * 12
    for file in files:
        there = hashlib.sha256((server.root / file.name).read_bytes()).digest()
        assert there == hashlib.sha256(file.read_bytes()).digest()
    assert sorted(os.listdir(server.root)) == sorted(file.name for file in files)


async def test_two_versions_of_a_file_are_not_put_together(
    server: SftpServer, service: SftpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks in the middle of one, and the next is there when it goes on."""
    from pp_assist.sftp import fetching
    from pp_assist.sftp.errors import SftpUnreachable

    size = 3 * fetching.SYNC_BYTES
    (server.root / "a").write_bytes(b"1" * size)
    real, calls = fetching.pieces, 0

    def cut(client: object, file: object, start: int, size_bytes: int) -> object:
        nonlocal calls
        calls += 1
        for number, piece in enumerate(real(client, file, start, size_bytes)):
            if calls == 1 and number == 200:
                (server.root / "a").write_bytes(b"2" * (size + 1))
                raise SftpUnreachable("cut")
            yield piece

    monkeypatch.setattr(fetching, "pieces", cut)
    path = f"{server.path}/a" if server.path else "a"
    assert await service.get_file_from_sftp(path, server.config) is None
    fetched = await service.get_file_from_sftp(path, server.config)
    assert fetched is not None
    assert Path(fetched).read_bytes() == b"2" * (size + 1)


async def test_a_broken_connection_is_no_complete_file(server: SftpServer, service: SftpService) -> None:
    (server.root / "a").write_bytes(b"1")
    sftp, transport = service.get_sftp_connection(server.config)
    transport.close()
    assert not service.is_file_fully_uploaded(sftp, f"{server.path}/a", delay=0.01)


@pytest.mark.parametrize("options", [(), ("--no-posix-rename",)])
async def test_a_folder_of_that_name_stays_where_it_is(
    tmp_path: Path, service: SftpService, options: tuple[str, ...]
) -> None:
    made = Other(tmp_path / "other")
    made.options = options
    with running(made) as server:
        await refuses_a_folder(server, service, tmp_path)


async def test_a_folder_of_that_name_stays_where_it_is_on_openssh(
    openssh: SftpServer, service: SftpService, tmp_path: Path
) -> None:
    await refuses_a_folder(openssh, service, tmp_path)


async def refuses_a_folder(server: SftpServer, service: SftpService, tmp_path: Path) -> None:
    (server.root / "reports").mkdir()
    (server.root / "reports" / "a").write_bytes(b"a")
    local = make(tmp_path / "reports", 10)
    assert not await service.upload_file_to_folder(server.path, "p", str(local), server.config)
    assert (server.root / "reports" / "a").read_bytes() == b"a"
    assert os.listdir(server.root) == ["reports"]


async def test_a_removal_whose_answer_is_lost_is_one(
    other: Other, service: SftpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    (other.root / "a").write_bytes(b"a")
    real, asked = paramiko.SFTPClient.remove, []

    def cut(client: paramiko.SFTPClient, path: str) -> None:
        real(client, path)
        asked.append(path)
        if len(asked) == 1:
            raise paramiko.SSHException("the connection broke")

    monkeypatch.setattr(paramiko.SFTPClient, "remove", cut)
    assert await service.remove_file_from_path("a", other.config)
    assert not await service.remove_file_from_path("a", other.config), "there is none"
