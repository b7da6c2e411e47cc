"""Drop folders and the local API, where the extra is not installed."""

import sys

import pytest
from asking import Api


@pytest.fixture
def without_paramiko(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("connecting", "watching", "storing", "dropfolder", "taking"):
        monkeypatch.delitem(sys.modules, f"pp_assist.sftp.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "paramiko", None)


@pytest.mark.usefixtures("without_paramiko")
async def test_the_error_names_the_extra(api: Api) -> None:
    answer = await api.http.post("/paths", json={"path": "sftp://u@127.0.0.1:1/in", "sftp": {"password": "p"}})
    assert (answer.status_code, answer.json()["code"]) == (400, "sftp_not_installed")
    assert "putplace-assist[sftp]" in answer.json()["detail"]
    assert (await api.http.get("/paths")).json()["paths"] == []


async def test_options_of_sftp_are_for_drop_folders(api: Api) -> None:
    answer = await api.http.post("/paths", json={"path": "/tmp", "sftp": {}})
    assert answer.status_code == 422
    for odd in ({"host_key": "MD5:aa"}, {"after": "shred"}, {"interval_seconds": 0}, {"announce": {}}, {"typo": 1}):
        answer = await api.http.post("/paths", json={"path": "sftp://u@h/in", "sftp": odd})
        assert answer.status_code == 422, odd
