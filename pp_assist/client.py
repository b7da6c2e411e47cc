"""The command `pp_client`: what has to do with a server and needs no daemon. Nothing is remembered between runs."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from pp_assist import posix

COMMANDS = ("push", "ls", "get", "verify-receipt")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Do what the command line says; without the name of a command, push what it names."""
    arguments = sys.argv[1:] if arguments is None else arguments
    name, rest = (arguments[0], arguments[1:]) if arguments and arguments[0] in COMMANDS else ("push", arguments)
    if name == "verify-receipt":
        from pp_assist import verify_receipt

        verify_receipt.main(rest)
    if name in ("ls", "get"):
        from pp_assist.restore import command

        (command.ls if name == "ls" else command.get)(rest)
    from pp_assist.push.command import push

    push(rest)  # a file of such a name is ./ls


if __name__ == "__main__":
    posix.restrict_umask()
    main()
