"""The command line. Every command works whether or not a server runs on the data directory."""

import argparse
import gc
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pp_server.admin_client import NoAnswer, NobodyThere, ask
from pp_server.core.errors import AdminError, ServerError, StartRefused
from pp_server.datadir import DataDir, DataDirBusy
from pp_server.settings import Settings, SettingsError, load
from pp_server.wire.version import distribution_version

OK, FAILED, USAGE, UNREACHABLE, REFUSED = range(5)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.command == "tls":
        return _self_signed(arguments)
    try:
        settings = load(_flags(arguments), arguments.config)
    except SettingsError as error:
        return _fail(str(error), USAGE)
    try:
        if arguments.command == "run":
            return _run(settings)
        return _administer(settings, arguments)
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data-dir", type=Path, metavar="DIR", help="where everything is kept")
    common.add_argument("--config", type=Path, metavar="FILE", help="TOML file (default: DIR/pp_server.toml)")
    administrative = argparse.ArgumentParser(add_help=False, parents=[common])
    administrative.add_argument("--json", action="store_true", help="print JSON")

    parser = argparse.ArgumentParser("pp_server", description="Keeps what pp_assist sends, durably and by content.")
    parser.add_argument("--version", action="version", version=f"pp_server {distribution_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", parents=[common], help="serve until stopped")
    run.add_argument("--host", help="address to listen on")
    run.add_argument("--port", type=int, help="TCP port; 0 takes a free one")

    run.add_argument("--tls-cert", type=Path, metavar="FILE", help="PEM file with the certificate: serve https")
    run.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM file with its key")

    tls = commands.add_parser("tls", help="encryption").add_subparsers(dest="action", required=True, metavar="ACTION")
    self_signed = tls.add_parser("self-signed", help="make a key and a certificate for it; print its fingerprint")
    self_signed.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write them to")
    self_signed.add_argument(
        "--name", action="append", default=[], metavar="HOST", help="name or address of this server; may be repeated"
    )
    self_signed.add_argument("--days", type=_days, default=3650, help="how long it is good for")
    self_signed.add_argument("--json", action="store_true", help="print JSON")

    key = commands.add_parser("key", help="API keys").add_subparsers(dest="action", required=True, metavar="ACTION")
    create = key.add_parser("create", parents=[administrative], help="make a key; it is shown once")
    create.add_argument("--name", required=True, help="what the key is for")
    create.add_argument("--owner", help="whose files it is for (default: NAME)")
    create.add_argument(
        "--scope", action="append", dest="scopes", choices=["upload", "read", "delete", "admin"], help="may be repeated"
    )
    create.add_argument("--host", metavar="HOST_ID", help="the only host the key may speak for")
    key.add_parser("list", parents=[administrative], help="all keys, without their secrets")
    revoke = key.add_parser("revoke", parents=[administrative], help="end a key")
    revoke.add_argument("id", metavar="ID")

    commands.add_parser("stats", parents=[administrative], help="what is stored and what happened")
    commands.add_parser("check", parents=[administrative], help="read and hash everything that is stored")
    commands.add_parser("compact", parents=[administrative], help="rewrite packs that are mostly dead")
    again = commands.add_parser(
        "rebuild", parents=[administrative], help="make a lost database again (while no server runs)"
    )
    again.add_argument("--force", action="store_true", help="also where there is one that is in order")
    receipts = commands.add_parser("receipts", help="signed receipts").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    receipts.add_parser("new-key", parents=[administrative], help="sign with a new key (while no server runs)")
    session = commands.add_parser("session", help="uploads").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    expire = session.add_parser("expire", parents=[administrative], help="end an open upload at once")
    expire.add_argument("id", metavar="ID")
    return parser


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 36_500:
        raise argparse.ArgumentTypeError("must be 1 to 36500")
    return days


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.command != "run":
        return _given({"data_dir": arguments.data_dir})
    tls = _given({"cert": arguments.tls_cert, "key": arguments.tls_key})
    wanted = {name: getattr(arguments, name) for name in ("data_dir", "host", "port")}
    return _given(wanted | {"tls": tls or None})


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _self_signed(arguments: argparse.Namespace) -> int:
    from pp_server.tls import CannotMake, make_self_signed

    try:
        made = make_self_signed(arguments.out, arguments.name, arguments.days)
    except CannotMake as error:
        return _fail(str(error), FAILED)
    lines = [f"certificate  {made['cert']}", f"key          {made['key']}", f"names        {' '.join(made['names'])}"]
    lines += [f"good until   {made['not_after']}", f"fingerprint  {made['fingerprint']}"]
    print(json.dumps(made) if arguments.json else "\n".join(lines))
    return OK


def _run(settings: Settings) -> int:
    gc.disable()  # until all is built: what is imported stays, and looking through it takes a fifth of the start
    from pp_server.run import run  # here: the administrative commands need no web server

    try:
        run(settings)
    except StartRefused as error:
        return _fail(str(error), REFUSED)
    return OK


def _administer(settings: Settings, arguments: argparse.Namespace) -> int:
    command, wanted = _command(arguments)
    if command != "key.create" and not settings.data_dir.is_dir():  # a mistyped path must not become an empty server
        return _fail(f"{settings.data_dir}: there is no such data directory", FAILED)
    try:
        answer = _ask(settings, command, wanted)
    except AdminError as error:
        return _fail(str(error), FAILED)
    except NoAnswer as error:
        return _fail(str(error), UNREACHABLE)
    except StartRefused as error:
        return _fail(str(error), REFUSED)
    except ServerError as error:
        return _fail(str(error), FAILED)
    print(json.dumps(answer) if arguments.json else _readable(command, answer), flush=True)
    if command == "check" and answer["damaged"]:
        return FAILED
    if command == "key.create" and not arguments.json:  # beside the key, so that `> key.txt` holds the key alone
        print(f"This is the only time the key is shown (id {answer['id']}).", file=sys.stderr)
    return OK


def _command(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    match arguments.command, getattr(arguments, "action", None):
        case "key", "create":
            given = {name: getattr(arguments, name) for name in ("name", "owner", "scopes", "host")}
            return "key.create", {name: value for name, value in given.items() if value is not None}
        case "key", "list":
            return "key.list", {}
        case "key", "revoke":
            return "key.revoke", {"id": arguments.id}
        case "session", _:
            return "session.expire", {"id": arguments.id}
        case "rebuild", _:
            return "rebuild", {"force": arguments.force}
        case "receipts", _:
            return "receipts.new-key", {}
    return arguments.command, {}


def _ask(settings: Settings, command: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Have the running server do it; where there is none, do it here, which takes longer to begin."""
    offline = command in ("rebuild", "receipts.new-key")
    if not offline:
        with suppress(NobodyThere):
            return ask(DataDir.at(settings.data_dir).socket, command, wanted)
    import asyncio  # here: whoever is answered needs none of it

    try:
        return asyncio.run((_do_it_alone if offline else _do_it_here)(settings, command, wanted))
    except DataDirBusy as error:
        if offline:
            raise
        raise NoAnswer("the server is starting or stopping; try again") from error


async def _do_it_here(settings: Settings, command: str, wanted: dict[str, Any]) -> dict[str, Any]:
    gc.disable()  # as for a server, and the process ends soon
    from pp_server.durable import Durable
    from pp_server.opened import opened, wall_clock_ms

    gc.enable()
    async with opened(settings, Durable(), wall_clock_ms) as (_, admin):
        return await admin.run(command, wanted)


async def _do_it_alone(settings: Settings, command: str, wanted: dict[str, Any]) -> dict[str, Any]:
    from pp_server import offline

    if command == "rebuild":
        return await offline.rebuild(settings, wanted["force"])
    return await offline.new_receipts_key(settings)


def _readable(command: str, answer: dict[str, Any]) -> str:
    match command:
        case "key.create":
            return str(answer["api_key"])
        case "key.list":
            return "\n".join(_key_line(key) for key in answer["keys"]) or "no keys"
    return "\n".join(f"{name:20} {value}" for name, value in answer.items())


def _key_line(key: dict[str, Any]) -> str:
    state = "revoked " + key["revoked_at"] if key["revoked_at"] else "last used " + (key["last_used_at"] or "never")
    return f"{key['id']}  {key['owner']:16} {key['name']:16} {','.join(key['scopes']):24} {state}"


def _fail(message: str, code: int) -> int:
    print(f"pp_server: {message}", file=sys.stderr)
    return code
