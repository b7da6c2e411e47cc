"""The daemon's settings: one frozen tree, read once.

Flags > environment (PP_ASSIST_..., nested with __) > .env > TOML > defaults. A key of ours that we do not know stops
the program with its name; in a .env, keys of others are none of our business.
"""

import json
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from pp_assist.checksum.settings import ChecksumSettings
from pp_assist.core.hosts import is_loopback
from pp_assist.scanner.settings import RulesSettings, ScannerSettings
from pp_assist.steering.settings import WaitSettings
from pp_assist.uploader.settings import UploaderSettings

PREFIX = "PP_ASSIST_"
CONFIG_NAME = "pp_assist.toml"


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key."""


def _origin(text: str) -> str:
    if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?", text):
        raise ValueError("must be the origin of a page as browsers name it, such as http://localhost:3000")
    return text


class ApiSettings(BaseModel):
    """The REST API on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Loopback address to listen on.")
    port: int = Field(8765, ge=0, le=65535, description="TCP port; 0 lets the system choose.")

    require_token: bool = Field(
        True, description="Answer only who shows the token; else also programs of the same user, but no other pages."
    )
    allowed_origins: Annotated[list[Annotated[str, AfterValidator(_origin)]], Field(max_length=100)] = Field(
        [], description="Pages of other sites that may call, with the token: http://localhost:3000."
    )

    @field_validator("host")
    @classmethod
    def _loopback_only(cls, host: str) -> str:
        if not is_loopback(host):
            raise ValueError("only loopback addresses are allowed")
        return host


class DaemonSettings(BaseModel):
    """The process as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shutdown_timeout: float = Field(10.0, ge=0.1, le=86400, description="Seconds a stop may take before it is forced.")


class SftpSettings(BaseModel):
    """Drop folders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spool_days: float = Field(
        30.0, ge=0, le=36500, description="Days for which a spool keeps its copy of a file that is stored."
    )
    spool_mib: int = Field(
        10240, ge=0, le=1 << 40, description="MiB of copies that a spool keeps; beyond, the oldest go earlier."
    )


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__")

    state_dir: str = Field(
        default_factory=lambda: platformdirs.user_state_dir("putplace-assist", appauthor=False),
        description="Folder for the daemon's own files: database, token, log.",
    )
    hostname: str = Field(
        default_factory=socket.gethostname, min_length=1, max_length=255, description="Name of this machine for people."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    api: ApiSettings = Field(default_factory=ApiSettings)
    scanner: ScannerSettings = Field(default_factory=ScannerSettings)
    rules: RulesSettings = Field(default_factory=RulesSettings)
    checksum_calculator: ChecksumSettings = Field(default_factory=ChecksumSettings)
    uploader: UploaderSettings = Field(default_factory=UploaderSettings)
    wait: WaitSettings = Field(default_factory=WaitSettings)
    sftp: SftpSettings = Field(default_factory=SftpSettings)
    daemon: DaemonSettings = Field(default_factory=DaemonSettings)

    def shown(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return dict(json.loads(self.model_dump_json()))

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, path: str) -> str:
        return os.path.abspath(os.path.expanduser(path))


def load_settings(
    flags: Mapping[str, Any] | None = None,
    config_file: str | None = None,
    environment: Mapping[str, str] | None = None,
    dotenv_file: str = ".env",
) -> Settings:
    """Return the settings from all sources.

    *config_file* must exist if given; otherwise STATE_DIR/pp_assist.toml is read where it exists.

    Raises:
        ConfigError: a key is unknown or a value is not possible.
    """
    environment = os.environ if environment is None else environment
    variables = _tree(_ours(dotenv_values(dotenv_file)), dotenv_file)
    _merge(variables, _tree(_ours(environment), "the environment"))
    _merge(variables, dict(flags or {}))
    toml = config_file or default_config_file(variables.get("state_dir"))
    if config_file and not Path(config_file).is_file():
        raise ConfigError(f"{config_file}: no such file")
    return _build(variables, toml)


def variables_set(environment: Mapping[str, str] | None = None, dotenv_file: str = ".env") -> set[str]:
    """Return our variables, in capitals, that the environment or *dotenv_file* has: they go before any other file."""
    environment = os.environ if environment is None else environment
    return _ours(environment).keys() | _ours(dotenv_values(dotenv_file)).keys()


def default_config_file(state_dir: str | None = None) -> str:
    """Return where the configuration file is when none is named."""
    folder = state_dir or Settings.model_fields["state_dir"].get_default(call_default_factory=True)
    return os.path.join(os.path.abspath(os.path.expanduser(folder)), CONFIG_NAME)


def _build(values: dict[str, Any], toml_file: str) -> Settings:
    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, TomlConfigSettingsSource(settings_cls, toml_file)

    try:
        return FromFile(**values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(problem) for problem in error.errors())) from error
    except ValueError as error:  # not TOML
        raise ConfigError(f"{toml_file}: {error}") from error


def _ours(variables: Mapping[str, str | None]) -> dict[str, str]:
    named = ((key.upper(), value) for key, value in variables.items())
    return {key: value for key, value in named if key.startswith(PREFIX) and value is not None}


def _tree(variables: Mapping[str, str], source: str) -> dict[str, Any]:
    """Return PP_ASSIST_A__B=v as {"a": {"b": v}}."""
    tree: dict[str, Any] = {}
    for name, value in variables.items():
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        field = Settings.model_fields.get(section)
        below = _fields_of(field.annotation) if field else {}
        if field is None or bool(below) != bool(key) or (key and key not in below):
            raise ConfigError(f"{name}: unknown setting in {source}")
        if key:
            tree.setdefault(section, {})[key] = value
        else:
            tree[section] = value
    return tree


def _fields_of(annotation: Any) -> Mapping[str, Any]:
    """Return the fields of a section; none for a plain value."""
    is_section = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation.model_fields if is_section else {}


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def _explain(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    return f"{key}: unknown setting" if problem["type"] == "extra_forbidden" else f"{key}: {problem['msg']}"
