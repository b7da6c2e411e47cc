"""The seed's polling of PDFs: moved aside for today, told in fives, nothing lost in between."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pp_assist.sftp import SftpService
from pp_assist.sftp.announcing import Batch
from tests.sftp.announced_api import SECRET, Api
from tests.sftp.documents import pdf
from tests.sftp.sftp_servers import SftpServer


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api().start()
    yield made
    made.stop()


def config_of(server: SftpServer) -> dict[str, Any]:
    return {**server.config, "path": server.path or "/", "secret": SECRET}


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SOURCE_FILES", "IN_Progress_Path", "PROFILE_CODE", "DOC_AI_API_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text(
        "SOURCE_FILES=input\nIN_Progress_Path=in_progress\nPROFILE_CODE=from_env_file\nX=1\n"
    )
    monkeypatch.setenv("PROFILE_CODE", "from_environment")


def today(server: SftpServer) -> Path:
    return server.root / "in_progress" / datetime.now().strftime("%m%d%Y")


def drop(server: SftpServer, count: int) -> list[str]:
    (server.root / "input").mkdir(exist_ok=True)
    names = [f"{number:02} ü.pdf" for number in range(count)]
    for number, name in enumerate(names):
        (server.root / "input" / name).write_bytes(pdf(number))
    return names


async def test_one_pass(server: SftpServer, service: SftpService, api: Api) -> None:
    names = drop(server, 12)
    (server.root / "input" / "half.pdf").write_bytes(pdf()[:1000])
    (server.root / "input" / "note.txt").write_bytes(b"no PDF")
    (server.root / "input" / "00.pdf.part").write_bytes(pdf())
    await service.poll_sftp_for_project(config_of(server), 60, api.url)
    assert sorted(os.listdir(today(server))) == names
    assert sorted(os.listdir(server.root / "input")) == ["00.pdf.part", "half.pdf", "note.txt"]
    assert [len(call["files"]) for call in api.calls] == [5, 5, 2]
    assert api.filenames == names
    base = (server.path or "").rstrip("/")
    for call in api.calls:
        assert call["profile_code"] == "from_environment"
        assert call["project_id"] == server.config["project_id"]
        for file in call["files"]:
            assert file["backup_path"] == f"{base}/in_progress/{today(server).name}/{file['filename']}"
    await service.poll_sftp_for_project(config_of(server), 60, api.url)
    assert len(api.calls) == 3
    assert "DOC_AI_API_URL" not in os.environ


async def test_what_the_api_does_not_take_is_told_by_the_next_pass_under_the_same_id(
    server: SftpServer, service: SftpService, api: Api, tmp_path: Path
) -> None:
    names = drop(server, 7)
    api.answers = [500, 0]
    await service.poll_sftp_for_project(config_of(server), 60, api.url)
    assert sorted(os.listdir(today(server))) == names
    lost = api.calls[0]["id"]
    again = SftpService(
        known_hosts=str(tmp_path / "remembered"), state_file=str(tmp_path / "sftp.db"), rest_seconds=0.1
    )
    for _ in range(30):  # each repetition waits for its time
        await again.poll_sftp_for_project(config_of(server), 60, api.url)
        if api.filenames == names and len(api.calls) >= 4:
            break
        await again.connect_to_sftp({"project_id": ""})
        import asyncio

        await asyncio.sleep(0.2)
    again.close_all_connections()
    assert api.filenames == names
    assert lost in api.taken
    assert len(api.taken) == 2


async def test_a_name_that_comes_again_is_another_file(server: SftpServer, service: SftpService, api: Api) -> None:
    for _ in range(2):
        drop(server, 1)
        await service.poll_sftp_for_project(config_of(server), 60, api.url)
    assert len(os.listdir(today(server))) == 2
    paths = {file["backup_path"] for call in api.calls for file in call["files"]}
    assert len(paths) == len(api.taken) == 2


async def test_killed_between_the_move_and_the_call(
    server: SftpServer, service: SftpService, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is done last before a kill, the next pass goes on with it."""
    from pp_assist.sftp import ledger

    class Killed(BaseException):
        pass

    names = drop(server, 6)
    steps = 0
    real = ledger.Ledger.transaction
    for kill_at in range(1, 60):
        steps = 0

        def counted(self: ledger.Ledger) -> Any:
            nonlocal steps
            steps += 1
            if steps == kill_at:  # noqa: B023
                raise Killed
            return real(self)

        monkeypatch.setattr(ledger.Ledger, "transaction", counted)
        try:
            await service.poll_sftp_for_project(config_of(server), 60, api.url)
        except Killed:
            continue
        break
    assert steps < kill_at
    assert sorted(os.listdir(today(server))) == names
    assert api.filenames == names


async def test_an_api_of_ones_own_kind(server: SftpServer, tmp_path: Path, api: Api) -> None:
    def build(batch: Batch) -> Any:
        return {"docs": [file["filename"] for file in batch.files], "files": batch.files}

    def signer(message_id: str, timestamp_s: int, body: bytes, secret: str) -> dict[str, str]:
        from pp_assist.sftp.signing import sign

        return {**sign(message_id, timestamp_s, body, secret), "X-Ours": "1"}

    own = SftpService(build_payload=build, signer=signer, known_hosts=str(tmp_path / "remembered"))
    files = [{"filename": "a.pdf", "backup_path": "/b/a.pdf"}]
    config = config_of(server)
    assert await own.call_api_for_files(config, files, "Admin", "Manual Upload", api.url, "profile")
    assert api.calls == [{"docs": ["a.pdf"], "files": files}]


async def test_call_api_for_files(service: SftpService, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from pp_assist.sftp import service as module

    monkeypatch.setattr(module, "API_PAUSE_S", 0.01)
    config = {"project_id": "p", "secret": SECRET}
    files = [{"filename": "a.pdf", "backup_path": "/b/a.pdf"}]
    assert not await service.call_api_for_files(config, files, "Admin", "Manual Upload")
    monkeypatch.setenv("DOC_AI_API_URL", api.url)
    api.answers = [500, 0, 503]
    assert await service.call_api_for_files(config, files, "Admin", "Manual Upload")
    assert len(api.calls) == 4
    assert len(api.taken) == 1
    assert len({call["id"] for call in api.calls}) == 1
    [call] = api.taken.values()
    assert (call["uploaded_by"], call["source"]) == ("Admin", "Manual Upload")
    assert call["profile_code"] == "from_environment"
    api.answers = [500] * 10
    assert not await service.call_api_for_files(config, files, "Admin", "Manual Upload")
    wrong = {**config, "secret": "another"}
    assert not await service.call_api_for_files(wrong, files, "Admin", "Manual Upload")
    assert api.forged == 4


async def test_passes_over_one_folder_do_not_meet(
    server: SftpServer, service: SftpService, api: Api, tmp_path: Path
) -> None:
    """Two programs are started by the clock, and the first is slow: each file is told of once."""
    names = drop(server, 8)
    second = SftpService(known_hosts=str(tmp_path / "remembered"), state_file=str(tmp_path / "sftp.db"), rest_seconds=0)
    import asyncio

    passes = [each.poll_sftp_for_project(config_of(server), 60, api.url) for each in (service, second, service)]
    await asyncio.gather(*passes)
    await service.poll_sftp_for_project(config_of(server), 60, api.url)
    second.close_all_connections()
    told = [file["filename"] for call in api.taken.values() for file in call["files"]]
    assert sorted(told) == names
    assert sorted(os.listdir(today(server))) == names
