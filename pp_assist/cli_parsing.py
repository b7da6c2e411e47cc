"""What the command lines of all our programs have in common."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

OK, FAILED, USAGE, NOT_REACHABLE, REFUSED, PENDING = range(6)
INTERRUPTED = 130
CODES = {FAILED: "failed", USAGE: "usage", NOT_REACHABLE: "not_reachable", REFUSED: "refused", PENDING: "pending"}
"""A stable word for each exit code, where nothing says more."""


class Version(argparse.Action):
    """`--version`: looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, prog: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")
        self._prog = prog

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print it and exit."""
        from pp_server.wire.version import distribution_version

        print(f"{self._prog} {distribution_version()}")
        parser.exit()


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are JSON, too, where JSON was asked for."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit."""
        if "--json" in sys.argv:
            print_problem(message, "usage", USAGE)
        super().error(message)


def print_problem(text: str, code: str, exit_code: int) -> None:
    """Print what went wrong, for programs."""
    print(json.dumps({"detail": text, "code": code, "exit_code": exit_code}, ensure_ascii=False))
