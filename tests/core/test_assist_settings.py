"""Where settings come from, in which order, and what a typo does."""

import os
import re
from pathlib import Path

import pytest

from pp_assist.config_fields import fields
from pp_assist.settings import ConfigError, load_settings


def load(tmp_path: Path, flags: dict[str, object] | None = None, env: dict[str, str] | None = None, **files: str):  # type: ignore[no-untyped-def]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    toml = str(tmp_path / "toml") if "toml" in files else None
    return load_settings(
        {"state_dir": str(tmp_path / "state"), **(flags or {})}, toml, env or {}, dotenv_file=str(tmp_path / "dotenv")
    )


def test_flags_win_over_environment_over_dotenv_over_toml_over_defaults(tmp_path: Path) -> None:
    assert load(tmp_path).api.port == 8765
    toml = "[api]\nport = 1\n"
    assert load(tmp_path, toml=toml).api.port == 1
    assert load(tmp_path, toml=toml, dotenv="PP_ASSIST_API__PORT=2").api.port == 2
    env = {"PP_ASSIST_API__PORT": "3"}
    assert load(tmp_path, env=env, toml=toml, dotenv="PP_ASSIST_API__PORT=2").api.port == 3
    assert load(tmp_path, {"api": {"port": 4}}, env, toml=toml).api.port == 4


def test_sections_from_several_sources_are_merged(tmp_path: Path) -> None:
    env = {"PP_ASSIST_SCANNER__QUIET_SECONDS": "1"}
    scanner = load(tmp_path, env=env, toml="[scanner]\nscan_interval = 5\n").scanner
    assert (scanner.quiet_seconds, scanner.scan_interval) == (1.0, 5.0)
    assert scanner.model_fields_set == {"quiet_seconds", "scan_interval"}


@pytest.mark.parametrize(
    ("sources", "key"),
    [
        ({"env": {"PP_ASSIST_SCANER__SCAN_INTERVAL": "1"}}, "PP_ASSIST_SCANER__SCAN_INTERVAL"),
        ({"env": {"PP_ASSIST_SCANNER__SCAN_INTERVALL": "1"}}, "PP_ASSIST_SCANNER__SCAN_INTERVALL"),
        ({"env": {"PP_ASSIST_SCANNER": "{}"}}, "PP_ASSIST_SCANNER"),
        ({"env": {"PP_ASSIST_STATE_DIR__X": "1"}}, "PP_ASSIST_STATE_DIR__X"),
        ({"dotenv": "PP_ASSIST_PORT=1"}, "PP_ASSIST_PORT"),
        ({"toml": "[scanner]\nscan_intervall = 1\n"}, "scanner.scan_intervall"),
        ({"toml": "[scaner]\n"}, "scaner"),
        ({"toml": "not toml"}, "toml"),
        ({"env": {"PP_ASSIST_API__PORT": "many"}}, "api.port"),
        ({"env": {"PP_ASSIST_API__HOST": "0.0.0.0"}}, "api.host"),
        ({"toml": "[checksum_calculator]\nparallel_workers = 0\n"}, "checksum_calculator.parallel_workers"),
        ({"toml": "[rules]\nexclude = ['*.o', 'a[']\n"}, "rules.exclude.1"),
        ({"env": {"PP_ASSIST_RULES__EXCLUDE": "*.o"}}, "rules.exclude"),
    ],
)
def test_an_unknown_key_or_impossible_value_stops_with_its_name(tmp_path: Path, sources: dict, key: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        load(tmp_path, **sources)


def test_a_foreign_dotenv_is_none_of_our_business(tmp_path: Path) -> None:
    text = "DATABASE_URL=x\nPP_SERVER_PORT=1\nexport FOO='bar'\nPP_ASSIST_LOG_LEVEL=DEBUG\n"
    assert load(tmp_path, dotenv=text).log_level == "DEBUG"


def test_a_named_config_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_settings({}, str(tmp_path / "missing.toml"), {})


def test_patterns_come_from_the_file_or_as_json_from_a_variable(tmp_path: Path) -> None:
    assert load(tmp_path, toml="[rules]\nexclude = ['*.o']\n").rules.exclude == ["*.o"]
    assert load(tmp_path, env={"PP_ASSIST_RULES__EXCLUDE": '["*.o", "!a.o"]'}).rules.exclude == ["*.o", "!a.o"]


def test_a_form_is_told_what_goes_before_the_file(tmp_path: Path) -> None:
    lines = ["PP_ASSIST_LOG_LEVEL=DEBUG", "pp_assist_api__port=1", "PP_ASSIST_HOSTNAME", "HOSTNAME=x"]
    (tmp_path / "dotenv").write_text("\n".join(lines))
    now = load_settings({}, None, {}, str(tmp_path / "dotenv")).shown()
    environment = {"PP_ASSIST_SFTP__SPOOL_DAYS": "1", "pp_assist_rules__exclude": "[]", "API__HOST": "::1"}
    found = fields(now, now, environment, str(tmp_path / "dotenv"))
    assert {each["name"] for each in found if each["from_environment"]} == {
        "log_level", "api.port", "sftp.spool_days", "rules.exclude",
    }  # fmt: skip


def test_a_form_is_told_the_units_of_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    documented = dict(re.findall(r"^\| `([a-z_.]+)` \| [^|]* \| (MiB|KiB per second|seconds|days)\b", text, re.M))
    now = load_settings({}, None, {}, os.devnull).shown()
    told = {each["name"]: each["unit"] for each in fields(now, now, {}, os.devnull)}
    short = {"KiB per second": "KiB/s"}
    assert {name: told[name] for name in told if name in documented} == {
        name: short.get(unit, unit) for name, unit in documented.items() if name in told
    }
    assert documented["sftp.spool_mib"] == "MiB"
