"""The documents say what is: examples parse, routes, codes, settings and commands are there, links lead somewhere."""

import argparse
import ast
import contextlib
import inspect
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import test_imports
from fastapi import FastAPI
from pydantic import BaseModel

from pp_assist import cli as assist_cli
from pp_assist.api.app import MODULES
from pp_assist.settings import Settings as AssistSettings
from pp_assist.settings import load_settings
from pp_server import cli as server_cli
from pp_server.api import application, problems
from pp_server.bounds import refusals
from pp_server.settings import Settings as ServerSettings
from pp_server.wire import batch, messages, restore
from pp_server.wire.errors import ErrorCode, Problem

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFIG = ROOT / "config"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
PROTOCOL = (DOCS / "protocol.md").read_text()
CONFIGURATION = (DOCS / "configuration.md").read_text()

MESSAGES = {
    name: model
    for module in (messages, batch, restore)
    for name, model in inspect.getmembers(module, inspect.isclass)
    if issubclass(model, messages.Message) and model.__module__ == module.__name__
} | {"Problem": Problem}
BASES = {"Message", "Named", "Metadata", "OnPath"}
PARTS = {"Part", "UploadedChunk", "Deletion", "DeletionResult", "ListedFile"}
PARTS |= {"Put", "Delete", "Move", "MoveTree", "Attributes", "OperationResult", "VerifyResult"}
"""Shown inside others."""

ADDED_TO_PROBLEMS = {"missing", "gen", "upload"}


# -- protocol.md


EXAMPLES = re.findall(r"^```json *(\w*)\n(.*?)^```", PROTOCOL, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name or "plain" for name, _ in EXAMPLES])
def test_an_example_is_a_message_of_the_wire(name: str, text: str) -> None:
    example = json.loads(text)
    if not name:
        return
    read = MESSAGES[name].model_validate_json(text)
    known = set(MESSAGES[name].model_fields) | (ADDED_TO_PROBLEMS if name == "Problem" else set())
    assert set(example) <= known
    shown = json.loads(read.model_dump_json(exclude_unset=True))
    assert {key: example[key] for key in shown} == shown, "an example shows values as they are sent"


def test_every_message_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES} - {""} == set(MESSAGES) - BASES - PARTS


def test_every_error_is_listed_with_its_status() -> None:
    rows = set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PROTOCOL.partition("## All codes")[2], re.MULTILINE))
    answered = {(str(status), code.value) for status, code in problems.TABLE.values()}
    answered |= {(str(status), code.value) for status, code in problems._BY_STATUS.items()}
    ended = refusals.overloaded(""), refusals.malformed(""), refusals.stalled(1)
    answered |= {(str(refusal.status), refusal.code.value) for refusal in ended}
    answered.add(("500", ErrorCode.INTERNAL.value))
    assert rows == answered
    assert {code for _, code in rows} == {code.value for code in ErrorCode}


def _routes(app: FastAPI) -> set[str]:
    paths = app.openapi()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def _nothing(_: FastAPI) -> contextlib.AbstractAsyncContextManager[None]:
    return contextlib.nullcontext()


def test_every_route_of_the_server_has_a_section() -> None:
    sections = set(re.findall(r"^### ([A-Z]+ /\S+)$", PROTOCOL, re.MULTILINE))
    assert sections == _routes(application.build(_nothing, docs=False))


def test_every_route_of_the_daemon_is_listed() -> None:
    app = FastAPI()
    for module in MODULES:
        app.include_router(module.router(cast(Any, None)))  # services are used only by requests
    listed = set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", (DOCS / "local-api.md").read_text(), re.MULTILINE))
    assert listed == _routes(app)


def _dict_keys(module: Any) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Dict)]
    return {key.value for node in nodes for key in node.keys if isinstance(key, ast.Constant)}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_field_of_the_daemons_answers_is_named(module: Any) -> None:
    named = set(re.findall(r"\w+", (DOCS / "local-api.md").read_text()))
    assert _dict_keys(module) <= named


# -- configuration.md and config/


def _leaves(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _leaves(kind, f"{above}{name}.")
        else:
            yield above + name, field


SECTIONS = [("pp_assist", AssistSettings), ("pp_server", ServerSettings)]


@pytest.mark.parametrize(("program", "settings"), SECTIONS, ids=["pp_assist", "pp_server"])
def test_every_setting_is_documented_with_its_default(program: str, settings: type[BaseModel]) -> None:
    section = CONFIGURATION.partition(f"\n## {program}\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.+?) \| .+? \| .+? \|$", section, re.MULTILINE))
    leaves = dict(_leaves(settings))
    assert set(rows) == set(leaves)
    for name, field in leaves.items():
        if field.default_factory is None:
            default = field.default
            shown = str(default).lower() if isinstance(default, bool) else str(default)
            assert rows[name] == ("none" if default is None else f"`{shown}`"), name


def _commented(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# (\w+) = (.+)$", text, re.MULTILINE))


def _load(state_dir: Path, config_file: Path | None = None) -> AssistSettings:
    file = None if config_file is None else str(config_file)
    return load_settings({"state_dir": str(state_dir)}, file, environment={}, dotenv_file=os.devnull)


def test_the_example_file_is_complete_and_equal_to_the_defaults(tmp_path: Path) -> None:
    text = (CONFIG / "pp_assist.toml").read_text()
    defaults = _load(tmp_path).model_dump()
    for name in ("state_dir", "hostname"):  # differ from machine to machine; the file names them in comments
        del defaults[name]
    interval = defaults["scanner"].pop("scan_interval")  # in the file it would be obeyed exactly
    assert tomllib.loads(text) == defaults
    commented = _commented(text)
    assert set(commented) == {"state_dir", "hostname", "scan_interval"}
    assert float(commented["scan_interval"]) == interval


def test_the_example_file_changes_nothing(tmp_path: Path) -> None:
    example = _load(tmp_path, CONFIG / "pp_assist.toml")
    assert example.model_dump() == _load(tmp_path).model_dump()
    assert "scan_interval" not in example.scanner.model_fields_set


def test_the_example_environment_is_accepted() -> None:
    settings = load_settings(environment={}, dotenv_file=str(CONFIG / "pp_assist.env.example"))
    assert settings.state_dir == "/var/lib/pp_assist"


# -- commands


def _commands(parser: argparse.ArgumentParser, above: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command with its options."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield above, [action.option_strings[-1] for action in parser._actions if action.option_strings]
    for group in groups:
        for name, below in group.choices.items():
            yield from _commands(below, f"{above} {name}")


COMMANDS = [
    *_commands(assist_cli.command_line(), "pp_assist"),
    *_commands(server_cli._parser(), "pp_server"),
]
EVERYWHERE = {"--help", "--json", "--config", "--state-dir", "--data-dir"}
OF_RUN = {"--host", "--port", "--log-level", "--tls-cert", "--tls-key"}
"""In configuration.md."""


@pytest.mark.parametrize(("command", "options"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_every_command_is_documented_with_its_options(command: str, options: list[str]) -> None:
    operations = (DOCS / "operations.md").read_text()
    [line] = [row for row in operations.splitlines() if re.match(rf"\| `{command}\b", row)]
    wanted = set(options) - EVERYWHERE - (OF_RUN if command.endswith(" run") else set())
    assert wanted == set(re.findall(r"--[a-z-]+", line.split("|")[1]))
    assert all(f"`{option}`" in CONFIGURATION for option in set(options) & OF_RUN)


UNTIL_STOPPED = {"pp_assist run", "pp_assist indexedcp server", "pp_server run"}


@pytest.mark.parametrize(("command", "options"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_every_command_that_ends_answers_in_json(command: str, options: list[str]) -> None:
    assert ("--json" in options) == (command not in UNTIL_STOPPED)


def test_the_test_command_of_the_readme_is_the_one_ci_runs() -> None:
    commands = re.findall(r"^\$ (make \w+) +# .*tests", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert commands == ["make test"]
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


# -- architecture.md


def test_the_import_rules_are_the_ones_in_force() -> None:
    text = (DOCS / "architecture.md").read_text().partition("## Who may import whom")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \|$", text, re.MULTILINE)
    assert {name: tuple(re.findall(r"`([\w.]+)`", allowed)) for name, allowed in rows} == test_imports.ALLOWED


# -- all pages


def _anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_internal_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{link}: no such file"
        assert not anchor or anchor in _anchors(target), f"{link}: no such heading"


def test_every_page_is_reached_from_the_index() -> None:
    index = (DOCS / "index.md").read_text()
    for page in DOCS.glob("*.md"):
        assert page.name == "index.md" or f"]({page.name})" in index, page.name


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(page.name for page in (DOCS / "decisions").glob("*.md"))
    assert [name[:5] for name in names] == [f"{number:04}-" for number in range(1, len(names) + 1)]
