"""The one module that imports paramiko: connections to an SFTP server, as somebody. Everything here blocks.

paramiko is the extra `sftp`. Nobody imports this module before a connection is wanted.
"""

import errno
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pp_assist.sftp.errors import ExtraMissing, LoginRefused, RemoteRefused, SftpError, SftpUnreachable, TooManyNames
from pp_assist.sftp.hostkeys import HostKeyRules, check, known_types

try:
    import paramiko
    from paramiko import sftp as protocol
except ImportError as missing:
    raise ExtraMissing("SFTP needs the extra `sftp`: pip install 'putplace-assist[sftp]'") from missing

TIMEOUT_S = 20.0
KEEPALIVE_S = 15
BROKEN = (paramiko.SSHException, paramiko.SFTPError, EOFError, TimeoutError, ConnectionError)
"""What a connection that is no good any more raises; so does an OSError that is no answer of the server."""
MOST_NAMES = 1_000_000
"""In one folder and those in it: more is more than fits into memory, and what a server that means no good would say."""

_REFUSALS = (errno.ENOENT, errno.EACCES)


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are. A key goes before a password."""

    username: str
    password: str | None = field(default=None, repr=False)
    key_file: str | None = None
    passphrase: str | None = field(default=None, repr=False)


class _Client(paramiko.SFTPClient):  # type: ignore[misc]
    """paramiko's; what a server says in another encoding than UTF-8 is read, too."""

    def _convert_status(self, message: Any) -> None:
        code, text = message.get_int(), message.get_string().decode("utf-8", "replace")
        again = paramiko.Message()
        again.add_int(code)
        again.add_string(text)
        again.rewind()
        super()._convert_status(again)


class Entry(NamedTuple):
    """A name in a folder of the server."""

    name: bytes
    size_bytes: int
    mtime_s: int
    is_file: bool
    is_directory: bool


def connect(host: str, port: int, login: Login, rules: HostKeyRules, timeout_s: float = TIMEOUT_S) -> tuple[Any, Any]:
    """Return a paramiko (SFTPClient, Transport). The server's key is judged before anything of the login is sent.

    Raises:
        HostKeyRefused, HostKeyUnknown, LoginRefused, SftpUnreachable: the message says why.
    """
    transport = None
    try:
        preferred = known_types(rules, host, port)
        transport = paramiko.Transport(socket.create_connection((host, port), timeout_s))
        transport.banner_timeout = transport.auth_timeout = transport.channel_timeout = timeout_s
        _ask_first_for(transport, preferred)
        transport.start_client(timeout=timeout_s)
        key = transport.get_remote_server_key()
        check(rules, host, port, key.get_name(), key.asbytes())
        _log_in(transport, login)
        transport.set_keepalive(KEEPALIVE_S)
        return open_client(transport, timeout_s), transport
    except BaseException as error:
        if transport is not None:
            transport.close()
        if isinstance(error, paramiko.AuthenticationException):
            raise LoginRefused(f"{host}, port {port}, does not let {login.username} in: {error}") from error
        if isinstance(error, (*BROKEN, OSError)):
            raise SftpUnreachable(f"{host}, port {port}: {_text(error)}") from error
        raise


def open_client(transport: Any, timeout_s: float = TIMEOUT_S) -> Any:
    """Return one more SFTPClient over a connection: a client of its own for whoever works beside others.

    Raises:
        SftpUnreachable: the connection is no good any more.
    """
    try:
        client = _Client.from_transport(transport)
    except (*BROKEN, OSError) as error:
        raise SftpUnreachable(_text(error)) from error
    client.get_channel().settimeout(timeout_s)
    return client


def list_folder(client: Any, path: str | bytes, before: int = 0) -> list[Entry]:
    """Return what is in a folder, in no order. Names are bytes: paramiko's own listing fails at one that is no UTF-8.

    A name that could lead out of the folder is left out, whoever sent it. *before*: so many names were listed already.

    Raises:
        TooManyNames: with those.
    """
    _, message = client._request(protocol.CMD_OPENDIR, path)
    handle = message.get_binary()
    entries: list[Entry] = []
    try:
        with suppress(EOFError):
            while True:
                _, message = client._request(protocol.CMD_READDIR, handle)
                if not (count := message.get_int()):
                    break
                if (before := before + count) > MOST_NAMES:
                    raise TooManyNames(f"it has more than {MOST_NAMES:,} names, all its folders together")
                for _ in range(count):
                    name, _ = message.get_string(), message.get_string()
                    found = paramiko.SFTPAttributes._from_msg(message)
                    if name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name:
                        entries.append(_entry(name, found))
    finally:
        client._request(protocol.CMD_CLOSE, handle)
    return entries


def look(client: Any, path: str | bytes) -> Entry | None:
    """Return what *path* is, following no link; None where there is nothing."""
    try:
        return _entry(b"", client.lstat(path))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def real_path(client: Any, path: bytes) -> bytes:
    """Return the server's own name of *path*, without links; where it does not say, *path*."""
    try:
        with told_apart():
            _, message = client._request(protocol.CMD_REALPATH, path)
    except RemoteRefused:
        return path
    message.get_int()
    return bytes(message.get_string())


def _entry(name: bytes, attributes: Any) -> Entry:
    mode = attributes.st_mode or 0
    return Entry(name, attributes.st_size or 0, attributes.st_mtime or 0, stat.S_ISREG(mode), stat.S_ISDIR(mode))


@contextmanager
def told_apart() -> Iterator[None]:
    """Turn what paramiko raises in the block into our errors: the connection is broken, or the server refuses.

    Raises:
        SftpUnreachable, RemoteRefused.
    """
    try:
        yield
    except SftpError:
        raise
    except BROKEN as error:
        raise SftpUnreachable(_text(error)) from error
    except OSError as error:
        if error.errno in _REFUSALS or (error.errno is None and str(error) != "Socket is closed"):
            raise RemoteRefused(_text(error)) from error  # paramiko gives an answer of the server no other number
        raise SftpUnreachable(_text(error)) from error
    except UnicodeError as error:
        raise RemoteRefused("the server names something in another encoding than UTF-8") from error


def _ask_first_for(transport: Any, types: list[str]) -> None:
    """Have the server show a key of a type that is known of it, if it has one."""
    if not types:
        return
    wanted = {kind for each in types for kind in (("rsa-sha2-512", "rsa-sha2-256") if each == "ssh-rsa" else (each,))}
    options = transport.get_security_options()
    options.key_types = sorted(options.key_types, key=lambda kind: kind not in wanted)


def _log_in(transport: Any, login: Login) -> None:
    if login.key_file is not None:
        try:
            key = paramiko.PKey.from_path(login.key_file, _encoded(login.passphrase))
        except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
            raise LoginRefused(f"cannot use the key {login.key_file}: {_text(error)}") from error
        try:
            if not transport.auth_publickey(login.username, key):
                return
        except paramiko.AuthenticationException:
            if login.password is None or not transport.is_active():
                raise
    if login.password is None and login.key_file is None:
        raise LoginRefused("neither a key nor a password is given")
    if login.password is not None:
        transport.auth_password(login.username, login.password)
    if not transport.is_authenticated():
        raise LoginRefused("the server wants more than we have")


def _encoded(passphrase: str | None) -> bytes | None:
    return None if passphrase is None else passphrase.encode()


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
