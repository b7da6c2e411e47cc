"""`pp_assist completion`: what a shell needs to complete our command lines."""

import argparse
from typing import Any

from pp_assist.cli_asking import OK, show

SHELLS = ("bash", "zsh", "fish")
FILES = {"path", "files", "file", "log_file", "config", "api_key_file", "ca_file", "bundle", "buffer", "tracking_db"}
FOLDERS = {"state_dir", "dir"}
"""Arguments that name something on this machine."""


def add_commands(commands: Any, command: Any) -> None:
    """Add it to the parser."""
    text = "print what a shell needs to complete commands and options"
    completion = command("completion", _completion, text, commands, argparse.ArgumentParser(add_help=False))
    completion.add_argument("shell", choices=SHELLS)
    completion.add_argument("--json", action="store_true", help="print it as JSON")


def _completion(args: argparse.Namespace) -> int:
    import shtab

    from pp_assist.cli import command_line

    whole = command_line()
    _mark(whole, shtab.FILE, shtab.DIRECTORY)
    script = shtab.complete(whole, args.shell)
    show(args, {"shell": args.shell, "script": script}, lambda: [script])
    return OK


def _mark(parser: argparse.ArgumentParser, file: Any, folder: Any) -> None:
    """Say of each argument of *parser*, and of its commands, whether it is a name on this machine."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _mark(below, file, folder)
        elif action.choices is None and action.dest in FILES | FOLDERS:
            action.complete = folder if action.dest in FOLDERS else file  # type: ignore[attr-defined]
