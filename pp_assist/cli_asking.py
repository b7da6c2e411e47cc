"""What all commands share: asking the daemon, showing its answer, failing with a reason."""

import argparse
import json
import os
from collections.abc import Callable
from typing import Any

from pp_assist.cli_parsing import CODES, FAILED, NOT_REACHABLE, OK, PENDING, REFUSED, USAGE

__all__ = ["FAILED", "NOT_REACHABLE", "OK", "PENDING", "REFUSED", "USAGE"]


class CommandError(Exception):
    """A command cannot be done; `exit_code` says which kind of reason, `code` which reason, in a stable word."""

    def __init__(self, message: str, exit_code: int = FAILED, code: str | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.code = code or CODES[exit_code]


def settings_of(args: argparse.Namespace, flags: dict[str, Any] | None = None) -> Any:
    """Return the settings the command line leads to; `CommandError` where they are not valid."""
    from pp_assist.settings import ConfigError, load_settings

    flags = dict(flags or {})
    if args.state_dir:
        flags["state_dir"] = args.state_dir
    try:
        return load_settings(flags, args.config)
    except ConfigError as error:
        raise CommandError(str(error), USAGE) from error


def ask(args: argparse.Namespace, method: str, path: str, body: Any = None, timeout_s: float = 60.0) -> Any:
    """Return the daemon's answer; raise if there is none or it refuses."""
    from pp_assist.asking import DaemonUnreachable, ask_daemon

    host, token = address(args)
    folder = args.settings.state_dir
    try:
        status, answer = ask_daemon(method, f"http://{host}{path}", token, body, timeout_s)
    except DaemonUnreachable as error:
        raise CommandError(f"the daemon on {folder} does not answer: {error}", NOT_REACHABLE) from error
    if status == 401:
        raise CommandError(f"{host} is another daemon's", NOT_REACHABLE)
    if status >= 400:
        code = REFUSED if status < 500 else FAILED
        raise CommandError(str(answer.get("detail", answer)), code, answer.get("code"))
    return answer


def address(args: argparse.Namespace) -> tuple[str, str]:
    """Return where the daemon listens (HOST:PORT), and the token to show; raise if none has ever run."""
    from pp_assist.state import read_port, read_token

    if not hasattr(args, "settings"):
        args.settings = settings_of(args)  # once for all that a command asks
    settings = args.settings
    try:
        token = read_token(settings.state_dir)
    except OSError as error:
        raise CommandError(f"no daemon has run on {settings.state_dir}: {error.strerror}", NOT_REACHABLE) from error
    host = f"[{settings.api.host}]" if ":" in settings.api.host else settings.api.host
    return f"{host}:{read_port(settings.state_dir) or settings.api.port}", token


def show(args: argparse.Namespace, answer: Any, lines: Callable[[], list[str]]) -> None:
    """Print the answer, as it is or as lines for people."""
    if args.json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    elif said := lines():
        print("\n".join(said))


def named(path: str, field: str = "path") -> dict[str, str]:
    """Return a path from the command line as the fields of a request."""
    from pp_server.wire.names import json_fields

    return json_fields(absolute(path), field)


def absolute(path: str) -> bytes:
    """Return a path from the command line as it is meant: that of a drop folder begins with sftp://."""
    from pp_assist.core.sftp_url import is_sftp

    return os.fsencode(path).rstrip(b"/") if is_sftp(path) else os.path.abspath(os.fsencode(os.path.expanduser(path)))


def printable(text: str) -> str:
    """Return *text* with control characters escaped: a file name must not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
