"""`pp_assist server`: the servers to upload to."""

import argparse
import os
import sys
from typing import Any

from pp_assist.cli_asking import FAILED, OK, REFUSED, USAGE, CommandError, ask, printable, show


def add_commands(commands: Any, command: Any) -> None:
    """Add them to the parser."""
    group = commands.add_parser("server", help="servers to upload to", description="servers to upload to")
    server = group.add_subparsers(required=True, metavar="COMMAND")
    server_add = command("add", _server_add, "add a server", server)
    server_add.add_argument("name")
    server_add.add_argument("url")
    server_add.add_argument("--api-key-file", required=True, help="file with the API key; - for standard input")
    server_add.add_argument("--default", action="store_true", help="upload to this one from now on")
    server_add.add_argument("--fingerprint", metavar="SHA256", help="trust this certificate and no other")
    server_add.add_argument("--ca-file", metavar="FILE", help="PEM file with the authorities that vouch for the server")
    server_add.add_argument("--no-test", action="store_true", help="do not ask it whether uploads to it would work")
    command("list", _server_list, "list the servers", server)
    server_test = command("test", _server_test, "ask a server whether uploads to it would work", server)
    server_test.add_argument("name", nargs="?", help="its name, or its id; else the one that uploads go to")
    server_default = command("default", _server_default, "upload to this one from now on", server)
    server_default.add_argument("name", help="its name, or its id")
    server_rm = command("rm", _server_rm, "forget a server and its key", server)
    server_rm.add_argument("name", help="its name, or its id")


def _server_add(args: argparse.Namespace) -> int:
    try:
        if args.api_key_file == "-":
            key = sys.stdin.readline().strip()
        else:
            with open(args.api_key_file, encoding="utf-8") as file:
                key = file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read the API key: {error}", USAGE) from error
    body = {"name": args.name, "url": args.url, "api_key": key, "is_default": args.default}
    if args.fingerprint:
        body["fingerprint"] = args.fingerprint
    if args.ca_file:
        body["ca_file"] = os.path.abspath(os.path.expanduser(args.ca_file))
    answer = ask(args, "POST", "/servers", body)
    said = [f"added {answer['name']} ({answer['url']})"]
    if not args.no_test:
        try:
            answer["test"] = ask(args, "POST", f"/servers/{answer['id']}/test", timeout_s=120)
            said.append(_tested(answer["test"]))
        except CommandError as error:  # it is added all the same
            said.append(f"but not tested: {error}")
    show(args, answer, lambda: said)
    return OK


def _tested(found: Any) -> str:
    text = printable(found["text"])
    return text if found["ok"] else f"but nothing can be sent there now: {text} ({found['code']})"


def _server_list(args: argparse.Namespace) -> int:
    answer = ask(args, "GET", "/servers")
    show(args, answer, lambda: [_server_line(server) for server in answer["servers"]] or ["no server is known yet"])
    return OK


def _server_line(server: Any) -> str:
    mark = "*" if server["is_default"] else " "
    reason = f" ({printable(server['reason'])})" if server["reason"] else ""
    state = server["state"] if server["last_contact_at"] or reason else "not tried yet"
    return f"{server['id']:>4} {mark} {server['name']:<20} {server['url']}  {state}{reason}"


def _server_rm(args: argparse.Namespace) -> int:
    server = _named(args)
    answer = ask(args, "DELETE", f"/servers/{server['id']}")
    show(args, answer, lambda: [f"forgot {server['name']} and its key"])
    return OK


def _server_test(args: argparse.Namespace) -> int:
    server = _named(args)
    answer = ask(args, "POST", f"/servers/{server['id']}/test", timeout_s=120)
    show(args, answer, lambda: [f"{server['name']}: {printable(answer['text'])} ({answer['took_ms']} ms)"])
    return OK if answer["ok"] else FAILED


def _server_default(args: argparse.Namespace) -> int:
    server = _named(args)
    answer = ask(args, "POST", f"/servers/{server['id']}/default")
    show(args, answer, lambda: [f"uploads go to {server['name']} from now on"])
    return OK


def _named(args: argparse.Namespace) -> Any:
    for server in ask(args, "GET", "/servers")["servers"]:
        if args.name in (server["name"], str(server["id"])) or (args.name is None and server["is_default"]):
            return server
    raise CommandError(f"there is no server {args.name}" if args.name else "no server is known yet", REFUSED)
