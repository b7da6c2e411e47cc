"""The command `pp_assist`: run the daemon, or ask the one that runs. `run` imports nothing that only commands need."""

import argparse
import asyncio
import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

OK, FAILED, USAGE, NOT_REACHABLE, REFUSED, PENDING = range(6)


class CommandError(Exception):
    """A command cannot be done; `exit_code` says which kind of reason."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


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


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Do what the command line says and exit: 0 ok, 1 failed, 2 usage, 3 not reachable, 4 refused, 5 pending."""
    args = _parser().parse_args(arguments)
    try:
        code = args.command(args)
    except CommandError as error:
        print(f"pp_assist: {error}", file=sys.stderr)
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--state-dir", help="folder of the daemon's own files (or PP_ASSIST_STATE_DIR)")
    common.add_argument("--config", help="TOML file (default: STATE_DIR/pp_assist.toml)")
    asking = argparse.ArgumentParser(add_help=False, parents=[common])
    asking.add_argument("--json", action="store_true", help="print the daemon's answer as it is")
    parser = argparse.ArgumentParser(prog="pp_assist", description="Puts files in their place on a server, provably.")
    parser.add_argument("--version", action=Version, prog="pp_assist")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, function: Callable[[argparse.Namespace], int], text: str, parent: Any = commands, base: Any = asking
    ) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = parent.add_parser(name, help=text, description=text, parents=[base])
        added.set_defaults(command=function)
        return added

    run = command("run", _run, "run the daemon in the foreground", base=common)
    run.add_argument("--host", help="loopback address to listen on")
    run.add_argument("--port", type=int, help="port of the local API (default 8765)")
    run.add_argument("--log-level", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    status = command("status", _status, "what the daemon is doing; exit 5 while something is pending")
    status.add_argument("--wait", type=float, metavar="SECONDS", help="scan, then wait until nothing is pending")
    add = command("add", _add, "watch a folder")
    add.add_argument("path")
    add.add_argument("--no-recursive", action="store_true", help="only the files directly in it")
    command("paths", _paths, "list the watched folders")
    rm = command("rm", _rm, "stop watching a folder; the server keeps everything")
    rm.add_argument("path", help="the folder, or its id")
    files = command("files", _files, "list files and where they stand")
    files.add_argument("path", nargs="?", help="only this file, or what lies below this folder")
    files.add_argument("--status", choices=_STATES)
    files.add_argument("--limit", type=int, default=100)
    files.add_argument("--offset", type=int, default=0)
    receipt = command("receipt", _receipt, "the server's signed word that it has a file; --json is for keeping")
    receipt.add_argument("path")
    scan = command("scan", _scan, "look for changes now")
    scan.add_argument("path", nargs="?", help="only this folder")
    scan.add_argument("--force", action="store_true", help="hash everything again")
    scan.add_argument("--no-wait", action="store_true", help="do not wait for the scan to end")
    server = parser_of(commands, "server", "servers to upload to")
    server_add = command("add", _server_add, "add a server", server)
    server_add.add_argument("name")
    server_add.add_argument("url")
    server_add.add_argument("--api-key-file", required=True, help="file with the API key; - for standard input")
    server_add.add_argument("--default", action="store_true", help="upload to this one from now on")
    server_add.add_argument("--fingerprint", metavar="SHA256", help="trust this certificate and no other")
    server_add.add_argument("--ca-file", metavar="FILE", help="PEM file with the authorities that vouch for the server")
    command("list", _server_list, "list the servers", server)
    server_rm = command("rm", _server_rm, "forget a server and its key", server)
    server_rm.add_argument("name", help="its name, or its id")
    return parser


def parser_of(commands: Any, name: str, text: str) -> Any:
    """Return the subcommands of a group of commands."""
    group = commands.add_parser(name, help=text, description=text)
    return group.add_subparsers(required=True, metavar="COMMAND")


_STATES = ["discovered", "ready_for_upload", "completed", "unchanged", "vanished", "excluded", "unsupported"]


# -- run


def _run(args: argparse.Namespace) -> int:
    from pp_assist import daemon, logs
    from pp_assist.state import AlreadyRunning
    from pp_assist.store.db import DatabaseDamaged

    api = {"host": args.host, "port": args.port}
    flags = {"log_level": args.log_level, "api": {key: value for key, value in api.items() if value is not None}}
    settings = _settings(args, {key: value for key, value in flags.items() if value})
    logs.configure(settings.log_level)
    config_path = args.config or os.path.join(settings.state_dir, "pp_assist.toml")

    def ready(port: int) -> None:
        print(f"pp_assist ready on http://{settings.api.host}:{port} (state in {settings.state_dir})", flush=True)

    try:
        with asyncio.Runner(loop_factory=daemon.fastest_loop()) as runner:
            runner.run(daemon.run(settings, os.path.abspath(config_path), ready))
    except AlreadyRunning as error:
        raise CommandError(str(error), REFUSED) from error
    except DatabaseDamaged as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CommandError(f"port {settings.api.port} is taken; --port names another one", REFUSED) from error
        raise CommandError(f"cannot start: {error}") from error
    return OK


def _settings(args: argparse.Namespace, flags: dict[str, Any] | None = None) -> Any:
    from pp_assist.settings import ConfigError, load_settings

    flags = dict(flags or {})
    if args.state_dir:
        flags["state_dir"] = args.state_dir
    try:
        return load_settings(flags, args.config)
    except ConfigError as error:
        raise CommandError(str(error), USAGE) from error


# -- asking


def _ask(args: argparse.Namespace, method: str, path: str, body: Any = None, timeout_s: float = 60.0) -> Any:
    """Return the daemon's answer; raise if there is none or it refuses."""
    from pp_assist.http import DaemonUnreachable, ask_daemon
    from pp_assist.state import read_port, read_token

    settings = _settings(args)
    try:
        token = read_token(settings.state_dir)
    except OSError as error:
        raise CommandError(f"no daemon has run on {settings.state_dir}: {error.strerror}", NOT_REACHABLE) from error
    host = f"[{settings.api.host}]" if ":" in settings.api.host else settings.api.host
    port = read_port(settings.state_dir) or settings.api.port
    try:
        status, answer = ask_daemon(method, f"http://{host}:{port}{path}", token, body, timeout_s)
    except DaemonUnreachable as error:
        raise CommandError(f"the daemon on {settings.state_dir} does not answer: {error}", NOT_REACHABLE) from error
    if status == 401:
        raise CommandError(f"port {port} is another daemon's", NOT_REACHABLE)
    if status >= 400:
        raise CommandError(str(answer.get("detail", answer)), REFUSED if status < 500 else FAILED)
    return answer


def _show(args: argparse.Namespace, answer: Any, lines: Callable[[], list[str]]) -> None:
    print(json.dumps(answer, indent=2, ensure_ascii=False) if args.json else "\n".join(lines()))


def _named(path: str, field: str = "path") -> dict[str, str]:
    from pp_server.wire.names import json_fields

    return json_fields(os.path.abspath(os.fsencode(os.path.expanduser(path))), field)


def _status(args: argparse.Namespace) -> int:
    import time

    end = time.monotonic() + (args.wait or 0)
    if args.wait:  # what has just been written counts, too
        _ask(args, "POST", "/scan/trigger", {"wait": True}, timeout_s=args.wait + 60)
    while True:
        stats, status = _ask(args, "GET", "/stats"), _ask(args, "GET", "/status")
        paths = _ask(args, "GET", "/paths")["paths"]
        pending = sum(queue["count"] for queue in stats["queues"].values())
        unhealthy = [path for path in paths if path["status"] == "unhealthy"]
        unscanned = [path for path in paths if path["last_scanned_at"] is None]
        busy = bool(pending or unhealthy or unscanned)
        if not busy or time.monotonic() >= end:
            break
        time.sleep(0.2)
    _show(args, {**status, "stats": stats, "paths": paths}, lambda: _status_lines(stats, status, unhealthy))
    return PENDING if busy else OK


def _status_lines(stats: Any, status: Any, unhealthy: list[Any]) -> list[str]:
    files, queues = stats["files"], stats["queues"]
    stored = files["completed"] + files["unchanged"]
    aside = f"{status['files_excluded']} excluded, {status['files_unsupported']} unsupported"
    lines = [f"{stored} of {files['total']} files stored; {aside}"]
    words = {"pending_checksum": "to hash", "pending_upload": "to upload", "pending_deletion": "deletions to tell"}
    for name, word in words.items():
        queue = queues[name]
        if queue["count"]:
            more = "".join(f", {queue[k]} {k}" for k in ("backoff", "parked", "held") if queue[k])
            lines.append(f"{queue['count']} {word}{more}")
    if status["upload_obstacle"]:
        lines.append(f"nothing can be sent now: {status['upload_obstacle']}")
    lines += [f"{path['path']}: {path['reason']}" for path in unhealthy]
    return lines


def _add(args: argparse.Namespace) -> int:
    answer = _ask(args, "POST", "/paths", {**_named(args.path), "recursive": not args.no_recursive})
    _show(args, answer, lambda: [f"watching {answer['path']} (id {answer['id']})"])
    return OK


def _paths(args: argparse.Namespace) -> int:
    answer = _ask(args, "GET", "/paths")
    _show(args, answer, lambda: [_path_line(path) for path in answer["paths"]] or ["no folder is watched yet"])
    return OK


def _path_line(path: Any) -> str:
    reason = f" ({path['reason']})" if path["reason"] else ""
    return f"{path['id']:>4}  {path['status']:<10} {path['file_count']:>9} files  {_printable(path['path'])}{reason}"


def _printable(text: str) -> str:
    """Return *text* with control characters escaped: a file name must not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _rm(args: argparse.Namespace) -> int:
    wanted = _named(args.path)
    for path in _ask(args, "GET", "/paths")["paths"]:
        if args.path == str(path["id"]) or {k: path[k] for k in path if k in ("path", "path_b64")} == wanted:
            answer = _ask(args, "DELETE", f"/paths/{path['id']}")
            _show(args, answer, lambda: [f"no longer watching {path['path']}; the server keeps its files"])  # noqa: B023
            return OK
    raise CommandError(f"{args.path} is not watched", REFUSED)


def _files(args: argparse.Namespace) -> int:
    from urllib.parse import urlencode

    query: dict[str, Any] = {"limit": args.limit, "offset": args.offset}
    if args.status:
        query["status"] = args.status
    if args.path:
        query["path_prefix"] = os.path.abspath(os.fsencode(os.path.expanduser(args.path)))
    answer = _ask(args, "GET", f"/files?{urlencode(query)}")
    _show(args, answer, lambda: [_file_line(file) for file in answer["files"]] + _rest(answer) or ["no such files"])
    return OK


def _file_line(file: Any) -> str:
    size = "-" if file["file_size"] is None else str(file["file_size"])
    reason = f"  ({file['reason']})" if file["reason"] else ""
    return f"{file['status']:<17} {size:>12}  {_printable(file['filepath'])}{reason}"


def _rest(answer: Any) -> list[str]:
    shown = answer["offset"] + len(answer["files"])
    return [f"... {answer['total'] - shown} more (--offset {shown})"] if shown < answer["total"] else []


def _receipt(args: argparse.Namespace) -> int:
    from pp_server.wire.names import to_query

    path = os.path.abspath(os.fsencode(os.path.expanduser(args.path)))
    answer = _ask(args, "GET", f"/receipt?path={to_query(path)}")
    shown = {name: value for name, value in answer.items() if value is not None and name != "proof"}
    shown["signed_by"] = f"key {answer['proof']['key_id']}"
    _show(args, answer, lambda: [f"{name:<12} {_printable(str(value))}" for name, value in shown.items()])
    return OK


def _scan(args: argparse.Namespace) -> int:
    body: dict[str, Any] = {"force": args.force, "wait": not args.no_wait}
    if args.path:
        body |= _named(args.path)
    answer = _ask(args, "POST", "/scan/trigger", body, timeout_s=24 * 3600)
    word = "started" if args.no_wait else "finished"
    _show(args, answer, lambda: [f"scan {answer['scan_id']} {word} ({len(answer['paths'])} folders)"])
    return OK


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
    answer = _ask(args, "POST", "/servers", body)
    _show(args, answer, lambda: [f"added {answer['name']} ({answer['url']})"])
    return OK


def _server_list(args: argparse.Namespace) -> int:
    answer = _ask(args, "GET", "/servers")
    _show(args, answer, lambda: [_server_line(server) for server in answer["servers"]] or ["no server is known yet"])
    return OK


def _server_line(server: Any) -> str:
    mark = "*" if server["is_default"] else " "
    reason = f" ({server['reason']})" if server["reason"] else ""
    state = server["state"] if server["last_contact_at"] or reason else "not tried yet"
    return f"{server['id']:>4} {mark} {server['name']:<20} {server['url']}  {state}{reason}"


def _server_rm(args: argparse.Namespace) -> int:
    for server in _ask(args, "GET", "/servers")["servers"]:
        if args.name in (server["name"], str(server["id"])):
            answer = _ask(args, "DELETE", f"/servers/{server['id']}")
            _show(args, answer, lambda: [f"forgot {server['name']} and its key"])  # noqa: B023
            return OK
    raise CommandError(f"there is no server {args.name}", REFUSED)
