"""Changing the configuration file: validated first, written atomically, comments kept."""

import os
import tempfile
from collections.abc import Mapping
from typing import Any

import tomlkit

from pp_assist import posix
from pp_assist.settings import ConfigError, Settings, load_settings


def save(config_file: str, state_dir: str, changes: Mapping[str, Any]) -> Settings:
    """Merge *changes* (nulls are ignored) into *config_file* and return the settings it now makes.

    The file is replaced in one step, and only if the whole of it is valid: never truncated, never half written.

    Raises:
        ConfigError: a key is unknown or a value is not possible; nothing was changed.
        OSError: the file cannot be written; nothing was changed.
    """
    if "state_dir" in changes:
        raise ConfigError("state_dir: cannot be changed here; move the folder and start the daemon with --state-dir")
    document = _read(config_file)
    _merge(document, changes)
    folder = os.path.dirname(config_file)
    fd, draft = tempfile.mkstemp(dir=folder, prefix=".pp_assist-", suffix=".toml")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(tomlkit.dumps(document))
            file.flush()
            os.fsync(file.fileno())
        settings = load_settings({"state_dir": state_dir}, draft, environment={}, dotenv_file=os.devnull)
        _check_meant(changes, settings.shown())
        os.replace(draft, config_file)
    except BaseException:
        os.unlink(draft)
        raise
    posix.sync_directory(folder)
    return settings


def _check_meant(changes: Mapping[str, Any], shown: Mapping[str, Any], where: str = "") -> None:
    """Refuse true and false where a number is meant: they would count as 1 and 0."""
    for key, value in changes.items():
        if isinstance(value, Mapping):
            _check_meant(value, shown[key], f"{where}{key}.")
        elif isinstance(value, bool) and not isinstance(shown[key], bool):
            raise ConfigError(f"{where}{key}: {str(value).lower()} is no number")


def _read(config_file: str) -> tomlkit.TOMLDocument:
    try:
        with open(config_file, encoding="utf-8") as file:
            return tomlkit.parse(file.read())
    except FileNotFoundError:
        return tomlkit.document()
    except ValueError as error:
        raise ConfigError(f"{config_file}: {error}") from error


def _merge(into: Any, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            if key not in into:
                into[key] = tomlkit.table()
            if not isinstance(into[key], Mapping):
                raise ConfigError(f"{key}: is a single value, not a section")
            _merge(into[key], value)
        elif value is not None:
            into[key] = value
