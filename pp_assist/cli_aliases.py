"""`pp_assist aliases`: old import names, for programs that are to run unchanged. Nothing is found unless asked for."""

import argparse
import importlib.util
import os
import sysconfig
from typing import Any

from pp_assist.cli_asking import OK, REFUSED, CommandError, show

PTH = "putplace_aliases.pth"
NAMES = ("indexedcp", "outamation_pkg_sftp")


def add_commands(commands: Any, command: Any) -> None:
    """Add it to the parser."""
    text = "the folder of the old import names, for PYTHONPATH"
    aliases = command("aliases", _aliases, text, commands, argparse.ArgumentParser(add_help=False))
    aliases.add_argument("--install", action="store_true", help="have this Python find them by itself")
    aliases.add_argument("--json", action="store_true", help="print it as JSON")
    aliases.add_argument("--remove", action="store_true", help="take that back")


def folder() -> str:
    """Return where the aliases are."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "aliases")


def _aliases(args: argparse.Namespace) -> int:
    pth = os.path.join(sysconfig.get_path("purelib"), PTH)
    if args.remove:
        if os.path.exists(pth):
            os.unlink(pth)
        show(args, {"removed": pth}, list)
        return OK
    if args.install:
        _check_free()
        with open(pth, "w", encoding="utf-8") as file:
            file.write(folder() + "\n")
    where = pth if args.install else folder()
    show(args, {"installed" if args.install else "folder": where}, lambda: [where])
    return OK


def _check_free() -> None:
    """Make sure that no installed package is shadowed."""
    for name in NAMES:
        found = importlib.util.find_spec(name)
        if found is not None and found.origin and os.path.dirname(found.origin) != folder():
            raise CommandError(f"a package {name} is installed ({found.origin}): nothing is put in its place", REFUSED)
