"""The settings of the server: flags > PP_SERVER_… environment > .env > TOML > defaults.

A name of ours that does not exist stops the program; what others put into the environment or .env is left alone.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, cast

import platformdirs
from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "PP_SERVER_"
DELIMITER = "__"


class SettingsError(Exception):
    """A setting is unknown or not valid; the message names it."""


class UploadSettings(BaseModel):
    """How long and how wide uploads may be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    session_ttl_seconds: float = Field(
        3600, gt=0, le=365 * 86400, description="Seconds without activity after which an upload expires."
    )
    cleanup_interval_seconds: float = Field(
        3600, gt=0, le=86400, description="Seconds between two rounds of removing expired uploads; one is at start."
    )
    max_open_per_owner: int = Field(
        1024, ge=1, le=1_000_000, description="Uploads that one owner may have open at a time; then initiate is 429."
    )


class LimitSettings(BaseModel):
    """How much of the server one client, or all of them, may take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_connections: int = Field(
        2048,
        ge=8,
        le=60_000,
        description="Connections at a time; then the longest idle one is closed for a new one.",
    )
    max_connections_per_address: int = Field(
        1024, ge=8, le=60_000, description="The same, of one address. A reverse proxy counts as one address."
    )
    head_seconds: float = Field(
        10, gt=0, le=3600, description="Seconds for the head of a request; for the first one, from the connection on."
    )
    idle_seconds: float = Field(
        75, gt=0, le=86400, description="Seconds without a request after which a connection is closed."
    )
    max_inflight_mb: int = Field(
        256, ge=64, le=1 << 20, description="MiB of memory for bodies being received, of all requests together."
    )
    reserve_mb: int = Field(
        1024,
        ge=0,
        le=1 << 30,
        description="MiB of the disk that new content leaves free, or the percentage below if less.",
    )
    reserve_percent: float = Field(5, ge=0, le=100, description="Percent of the disk that new content leaves free.")
    min_rate_bytes: int = Field(
        1024, ge=1, le=1 << 30, description="Bytes per second that bodies, and the taking of answers, must keep."
    )
    body_window_seconds: float = Field(
        10, gt=0, le=3600, description="Seconds that a body may fall behind this rate before its request is ended."
    )
    answer_window_seconds: float = Field(
        60, gt=0, le=3600, description="Seconds that the taking of an answer may fall behind before it is cut."
    )
    auth_failures: int = Field(
        60,
        ge=1,
        le=1_000_000,
        description="Bad API keys, from one address or for one key, answered as such in a while.",
    )
    auth_window_seconds: float = Field(60, gt=0, le=86400, description="Seconds that this while lasts.")


class IndexedCPSettings(BaseModel):
    """Files that come in chunks over /upload."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path_mode: Literal["ignore", "sanitize", "allow-paths"] = Field(
        "ignore", description="What the name that a client sends says about the file's path."
    )
    strip_paths: bool = Field(False, description="With sanitize: take the last part of a path, instead of refusing it.")
    idle_seconds: float = Field(
        30, gt=0, le=86400, description="Seconds without a chunk that end an upload whose client does not say its end."
    )
    unfinished_seconds: float = Field(
        7 * 86400, gt=0, le=3650 * 86400, description="Seconds without a chunk that end an upload with chunks missing."
    )
    max_unfinished_per_owner: int = Field(
        1024, ge=1, le=1_000_000, description="Uploads with chunks missing that an owner may have at a time."
    )


class TlsSettings(BaseModel):
    """Encryption of the public port."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cert: Path | None = Field(
        None, description="PEM file with the certificate, and those between it and its authority; with it, https only."
    )
    key: Path | None = Field(None, description="PEM file with the certificate's key, not encrypted.")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key: both or none")
        return self


class StorageSettings(BaseModel):
    """How content lies on the disk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pack_up_to_kb: int = Field(
        256, ge=0, le=256, description="Content up to so many KiB shares packs; larger content is a file each."
    )
    pack_size_mb: int = Field(64, ge=1, le=4096, description="MiB at which a pack is full and takes nothing more.")
    pack_grace_seconds: float = Field(
        3600, ge=60, le=30 * 86400, description="Seconds a pack is left alone before it is rewritten, and then removed."
    )
    compression: Literal["auto", "never"] = Field(
        "auto",
        description="Keep content compressed where that is smaller; never: for a disk that compresses by itself.",
    )
    compact_dead_percent: int = Field(
        50, ge=1, le=100, description="A full pack of which so much is of no use any more is rewritten."
    )


class Settings(BaseSettings):
    """All settings of the server."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_path("pp_server", appauthor=False)),
        description="Directory of blobs, half-received uploads and the database; one server per directory.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8100, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one and prints it.")
    docs: bool = Field(False, description="Serve /docs and /openapi.json.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe log lines that are written."
    )
    access_log: bool = Field(False, description="Write one log line per request.")
    shutdown_seconds: int = Field(
        8, ge=0, le=600, description="Seconds that running requests get to finish when the server is stopped."
    )
    uploads: UploadSettings = Field(default_factory=UploadSettings, description="Uploads.")
    limits: LimitSettings = Field(default_factory=LimitSettings, description="Limits.")
    tls: TlsSettings = Field(default_factory=TlsSettings, description="Encryption.")
    indexedcp: IndexedCPSettings = Field(default_factory=IndexedCPSettings, description="IndexedCP.")
    storage: StorageSettings = Field(default_factory=StorageSettings, description="Content on the disk.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in counts; `load` passes everything in, in order."""
        return (init_settings,)


def load(flags: Mapping[str, Any] | None = None, config: Path | None = None) -> Settings:
    """Return the settings from all sources. *flags* are those given, without the others.

    Raises:
        SettingsError: a name of ours is unknown, a value is not valid, or the file cannot be read.
    """
    dotenv = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    layers = [
        dict(flags or {}),
        _from_names(os.environ, "the environment"),
        _from_names(dotenv, ".env"),
    ]
    layers.append(_from_toml(config, layers))
    return _validate(_merge(layers))


def _validate(values: dict[str, Any]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        found = [f"{'.'.join(str(part) for part in p['loc'])}: {p['msg']}" for p in error.errors()]
        raise SettingsError("settings: " + "; ".join(found)) from None


def _from_names(names: Mapping[str, str], source: str) -> dict[str, Any]:
    """Return what ``PP_SERVER_UPLOADS__SESSION_TTL_SECONDS`` and its like say, nested."""
    ours = {name.upper(): value for name, value in names.items() if name.upper().startswith(PREFIX)}
    for name in ours:
        if not _exists(name.removeprefix(PREFIX).lower().split(DELIMITER)):
            raise SettingsError(f"unknown setting {name} in {source}")
    return _NamedValues(ours)()


class _NamedValues(EnvSettingsSource):
    """Reads given names instead of the process's environment."""

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__(Settings)
        self.env_vars = {name.lower(): value for name, value in names.items()}


def _exists(parts: list[str]) -> bool:
    model: type[BaseModel] = Settings
    for depth, part in enumerate(parts):
        field = model.model_fields.get(part)
        if field is None:
            return False
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
        else:
            return depth == len(parts) - 1
    return False


def _from_toml(config: Path | None, layers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the file named by ``--config``, else that of the data directory where there is one."""
    path = config
    if path is None:
        path = Path(_merge(layers).get("data_dir") or Settings().data_dir) / "pp_server.toml"
        if not path.is_file():
            return {}
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    for parts in _leaves(values):
        if not _exists(parts):
            raise SettingsError(f"unknown setting {'.'.join(parts)} in {path}")
    return values


def _leaves(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterable[list[str]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, name))
        elif not isinstance(value, dict):
            yield [*above, name]


def _merge(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return all layers as one; earlier ones win, section by section."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            if isinstance(value, dict):
                merged[name] = _merge([cast(dict[str, Any], merged.get(name, {})), value])
            else:
                merged.setdefault(name, value)
    return merged
