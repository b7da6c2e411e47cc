"""Where settings come from, in which order, and what stops the program."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pp_server.settings import PREFIX, Settings, SettingsError, load

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(autouse=True)
def _empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_earlier_sources_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = tmp_path / "some.toml"
    toml.write_text(
        'host = "toml"\nport = 1\ndocs = true\n[uploads]\nsession_ttl_seconds = 1\n[limits]\nhead_seconds = 1\n'
    )
    assert load({}, toml).port == 1
    Path(".env").write_text("PP_SERVER_PORT=2\nPP_SERVER_HOST=dotenv\nPP_SERVER_LIMITS__HEAD_SECONDS=2\n")
    assert load({}, toml).port == 2
    monkeypatch.setenv("PP_SERVER_PORT", "3")
    monkeypatch.setenv("PP_SERVER_LIMITS__HEAD_SECONDS", "3")
    assert load({}, toml).port == 3
    settings = load({"port": 4}, toml)
    assert (settings.port, settings.host, settings.docs) == (4, "dotenv", True)
    assert settings.uploads.session_ttl_seconds == 1
    assert settings.limits.head_seconds == 3
    assert settings.uploads.cleanup_interval_seconds == 3600


def test_the_data_directory_may_hold_the_file(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "pp_server.toml").write_text("port = 7\n")
    assert load({"data_dir": data}).port == 7


@pytest.mark.parametrize("name", ["PP_SERVER_PROT", "PP_SERVER_UPLOADS__TTL", "PP_SERVER_PORT__X", "PP_SERVER_"])
def test_an_unknown_name_of_ours_stops_the_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(f"{name}=1\n")
    with pytest.raises(SettingsError, match=rf"{name} in \.env"):
        load()
    Path(".env").unlink()
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=name):
        load()


@pytest.mark.parametrize("text", ["prot = 1", "[uploads]\nttl = 1", "[upload]\nx = 1", "[port]\nx = 1"])
def test_an_unknown_key_in_the_file_stops_the_program(tmp_path: Path, text: str) -> None:
    toml = tmp_path / "some.toml"
    toml.write_text(text)
    with pytest.raises(SettingsError, match=r"(prot|uploads\.ttl|upload\.x|port\.x) in .*some\.toml"):
        load({}, toml)


def test_what_others_put_there_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("DATABASE_URL=x\nPP_ASSIST_STATE_DIR=/x\nPORT=9\nBROKEN\n")
    monkeypatch.setenv("HOST", "x")
    assert load().port == 8100


def test_a_value_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PP_SERVER_UPLOADS__SESSION_TTL_SECONDS", "soon")
    with pytest.raises(SettingsError, match=r"uploads\.session_ttl_seconds"):
        load()


@pytest.mark.parametrize("text", ["port = ", "\x00"])
def test_a_broken_or_missing_file_is_named(tmp_path: Path, text: str) -> None:
    toml = tmp_path / "some.toml"
    toml.write_text(text)
    with pytest.raises(SettingsError, match=r"some\.toml"):
        load({}, toml)
    with pytest.raises(SettingsError, match=r"none\.toml"):
        load({}, tmp_path / "none.toml")


def test_the_example_file_is_complete_and_equal_to_the_defaults() -> None:
    values = tomllib.loads((CONFIG / "pp_server.toml").read_text())
    defaults = Settings().model_dump(exclude_none=True)
    del defaults["data_dir"]  # differs from user to user; the file names it in a comment
    assert values == defaults


def test_the_example_environment_is_accepted() -> None:
    Path(".env").write_text((CONFIG / "pp_server.env.example").read_text())
    assert load().data_dir == Path("/var/lib/pp_server")


def test_every_setting_says_what_it_is_and_refuses_strangers() -> None:
    def check(model: type[BaseModel]) -> None:
        assert model.model_config["extra"] == "forbid"
        assert model.model_config["frozen"]
        for name, field in model.model_fields.items():
            assert field.description, name
            if name.endswith("seconds"):
                assert "econds" in field.description
            kind: Any = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                check(kind)

    check(Settings)
    assert Settings.model_config["env_prefix"] == PREFIX
