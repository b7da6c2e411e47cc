"""A project as programs describe it, a dictionary, and as we use it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import platformdirs

from pp_assist.core.sftp_url import SFTP_PORT
from pp_assist.sftp.hostkeys import HostKeyRules

REMEMBERED = "sftp_known_hosts"


@dataclass(frozen=True, slots=True)
class Project:
    """Where a project's files are, as whom we come, and whom we believe there."""

    id: str
    host: str
    port: int
    username: str
    password: str | None
    key_file: str | None
    passphrase: str | None
    rules: HostKeyRules

    def __repr__(self) -> str:
        return f"Project({self.id!r}, {self.username}@{self.host}:{self.port})"


def project_of(config: Mapping[str, Any], known_hosts: str | None = None) -> Project:
    """Return what a configuration says.

    Raises:
        ValueError: something is missing, or no number.
    """
    for key in ("sftp_host", "sftp_user"):
        if not config.get(key):
            raise ValueError(f"the configuration has no {key}")
    host, user, port = str(config["sftp_host"]), str(config["sftp_user"]), int(config.get("sftp_port") or SFTP_PORT)
    return Project(
        str(config.get("project_id") or f"{user}@{host}:{port}"),
        host,
        port,
        user,
        _text(config, "sftp_pass"),
        _path(_text(config, "sftp_key")),
        _text(config, "sftp_key_passphrase"),
        rules_of(
            _text(config, "sftp_host_key"),
            _path(_text(config, "sftp_known_hosts") or known_hosts),
            bool(config.get("sftp_strict")),
        ),
    )


def rules_of(pinned: str | None, known_hosts: str | None, strict: bool) -> HostKeyRules:
    """Return whose key is believed. *known_hosts*: instead of the usual files, and where a first key is remembered."""
    if known_hosts is not None:
        return HostKeyRules(pinned, (known_hosts,), known_hosts, strict)
    usual = os.path.expanduser("~/.ssh/known_hosts"), "/etc/ssh/ssh_known_hosts"
    remembered = None if strict else os.path.join(state_folder(), REMEMBERED)
    return HostKeyRules(pinned, usual, remembered, strict)


def state_folder() -> str:
    """Return where we keep what must not be lost, where nobody names another place."""
    return platformdirs.user_state_dir("putplace-assist", appauthor=False)


def _text(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    return None if value in (None, "") else str(value)


def _path(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(os.path.expanduser(path))
