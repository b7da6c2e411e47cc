"""Connections that are kept: shared, replaced when they are silent, and enough of them for servers that give few."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from pp_assist.sftp import connecting
from pp_assist.sftp import pool as pool_module
from pp_assist.sftp.errors import RemoteRefused, SftpUnreachable
from pp_assist.sftp.pool import Pool
from tests.sftp.sftp_servers import OpenSsh, Other, SftpServer, running
from tests.sftp.test_transfers import connection


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool()
    yield made
    made.close()


def counted(server: SftpServer) -> tuple[Callable[[], tuple[Any, Any]], list[int]]:
    """Return what connects, and how often it did."""
    made: list[int] = []

    def connect() -> tuple[Any, Any]:
        made.append(1)
        return connection(server)

    return connect, made


def test_many_at_a_time_over_one_connection(server: SftpServer, pool: Pool) -> None:
    connect, made = counted(server)
    done: list[list[str]] = []

    def list_it() -> None:
        with pool.borrowed("p", 1, connect) as client:
            done.append(client.listdir(server.path or "."))

    threads = [threading.Thread(target=list_it) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(done), len(made)) == (20, 1)


@pytest.mark.usefixtures("sshd")
@pytest.mark.parametrize("channels", [1, 3])
def test_a_server_that_gives_few_channels_over_a_connection(tmp_path: Path, pool: Pool, channels: int) -> None:
    server = OpenSsh(tmp_path / "few")
    with open(server.folder / "sshd_config", "a") as config:
        config.write(f"MaxSessions {channels}\n")
    at_work, most = 0, 0
    counting = threading.Lock()

    def work(connect: Any) -> None:
        nonlocal at_work, most
        with pool.borrowed("p", 1, connect) as client:
            with counting:
                at_work += 1
                most = max(most, at_work)
            time.sleep(0.1)
            client.listdir(server.path)
            with counting:
                at_work -= 1

    with running(server):
        connect, made = counted(server)
        threads = [threading.Thread(target=work, args=(connect,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (at_work, most, len(made)) == (0, channels, 1)


def test_a_connection_that_falls_silent_is_replaced(other: Other, pool: Pool) -> None:
    connect, made = counted(other)
    with pool.borrowed("p", 1, connect) as client:
        assert client.listdir(".") == []
    assert other.process is not None
    other.process.send_signal(signal.SIGSTOP)
    with pytest.raises(SftpUnreachable), pool.borrowed("p", 1, connect) as client, connecting.told_apart():
        client.get_channel().settimeout(0.3)
        client.listdir(".")
    other.process.send_signal(signal.SIGCONT)
    with pool.borrowed("p", 1, connect) as client:
        assert client.listdir(".") == []
    assert len(made) == 2


def test_what_is_said_in_another_encoding_is_a_refusal(server: SftpServer, pool: Pool) -> None:
    connect, made = counted(server)
    with pool.borrowed("p", 1, connect) as client:
        said = paramiko.Message()
        said.add_int(4)
        said.add_string("Zugriff verweigert: \xfc".encode("latin-1"))
        said.rewind()
        with pytest.raises(RemoteRefused, match="verweigert"), connecting.told_apart():
            client._convert_status(said)
    with pool.borrowed("p", 1, connect) as client:
        assert client.listdir(server.path or ".") == []
    assert len(made) == 1


@pytest.mark.parametrize("is_another", [False, True])
def test_who_waits_while_a_project_is_closed_leaves_no_connection_behind(
    other: Other, pool: Pool, monkeypatch: pytest.MonkeyPatch, is_another: bool
) -> None:
    """Closed, or replaced by one that leads somewhere else."""
    monkeypatch.setattr(pool_module, "CLIENTS", 1)
    made: list[Any] = []

    def connect() -> tuple[Any, Any]:
        client, transport = connection(other)
        made.append(transport)
        return client, transport

    def list_it() -> None:
        with pool.borrowed("p", 1, connect) as client:
            client.listdir(".")

    waiting = threading.Thread(target=list_it)
    with pool.borrowed("p", 1, connect):
        waiting.start()
        time.sleep(0.2)
        if is_another:
            pool.main("p", 2, lambda: connection(other))
        else:
            pool.forget("p")
    waiting.join()
    assert [transport.is_active() for transport in made] == [False, False]


def test_the_main_client_of_a_project_that_is_closed_meanwhile_is_in_nobodys_way(other: Other, pool: Pool) -> None:
    made: list[Any] = []

    def connect() -> tuple[Any, Any]:
        client, transport = connection(other)
        made.append(transport)
        return client, transport

    pool.main("p", 1, connect)
    waiting = threading.Thread(target=pool.main, args=("p", 1, connect))
    with pool._projects["p"].lock:
        waiting.start()
        time.sleep(0.2)
        pool.forget("p")
    waiting.join()
    pool.close()
    assert [transport.is_active() for transport in made] == [False, False]


def test_a_connection_that_gives_nobody_a_client_any_more_is_replaced(
    other: Other, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it was dropped on the way, silently, while nobody used it."""
    connect, made = counted(other)
    with pytest.raises(RemoteRefused), pool.borrowed("p", 1, connect):
        raise RemoteRefused("this client is not used again")

    def silent(*_: object) -> None:
        raise SftpUnreachable("Timeout opening channel.")

    with monkeypatch.context() as patch, pytest.raises(SftpUnreachable):
        patch.setattr(connecting, "open_client", silent)
        with pool.borrowed("p", 1, connect):
            pass
    with pool.borrowed("p", 1, connect) as client:
        client.listdir(".")
    assert len(made) == 2
