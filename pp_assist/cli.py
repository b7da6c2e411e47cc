"""The command `pp_assist`: run the daemon, or ask the one that runs. `run` imports nothing that only commands need."""

import argparse
import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from pp_assist import (
    cli_add,
    cli_aliases,
    cli_completion,
    cli_daemon,
    cli_deletions,
    cli_doctor,
    cli_excludes,
    cli_indexedcp,
    cli_queue,
    cli_servers,
    cli_service,
    cli_sftp,
    cli_steering,
    cli_top,
    cli_ui,
    cli_verify,
    cli_why,
)
from pp_assist.cli_asking import (
    OK,
    PENDING,
    REFUSED,
    CommandError,
    absolute,
    ask,
    named,
    printable,
    settings_of,
    show,
)
from pp_assist.cli_parsing import INTERRUPTED, Parser, Version, print_problem


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Do what the command line says and exit: 0 ok, 1 failed, 2 usage, 3 not reachable, 4 refused, 5 pending."""
    args = command_line().parse_args(arguments)
    try:
        code = args.command(args)
    except CommandError as error:
        code = _complain(args, error)
    except KeyboardInterrupt:
        code = _complain(args, CommandError("interrupted", INTERRUPTED, "interrupted"))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    sys.exit(code)


def _complain(args: argparse.Namespace, error: CommandError) -> int:
    """Say what went wrong, to people and, where it asked for JSON, to a program; return the exit code."""
    if getattr(args, "json", False):
        print_problem(str(error), error.code, error.exit_code)
    print(f"pp_assist: {error}", file=sys.stderr)
    return error.exit_code


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all our commands."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--state-dir", help="folder of the daemon's own files (or PP_ASSIST_STATE_DIR)")
    common.add_argument("--config", help="TOML file (default: STATE_DIR/pp_assist.toml)")
    asking = argparse.ArgumentParser(add_help=False, parents=[common])
    asking.add_argument("--json", action="store_true", help="print the daemon's answer as it is")
    parser = Parser(prog="pp_assist", description="Puts files in their place on a server, provably.")
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
    run.add_argument("--log-file", metavar="FILE", help="log there, and not to standard error: 10 MiB, five times")
    run.add_argument("--log-level", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    status = command("status", _status, "what the daemon is doing; exit 5 while something is pending")
    wait = "scan, then wait until nothing is pending, or nothing goes on without you"
    status.add_argument("--wait", type=float, metavar="SECONDS", help=wait)
    command("paths", _paths, "list the watched folders")
    rm = command("rm", _rm, "stop watching a folder; the server keeps everything")
    rm.add_argument("path", help="the folder, or its id")
    files = command("files", _files, "list files and where they stand")
    files.add_argument("path", nargs="?", help="only this file, or what lies below this folder")
    files.add_argument("--status", choices=_STATES)
    files.add_argument("--kind", choices=("file", "dir", "symlink", "any"), default="file", help="default: file")
    files.add_argument("--limit", type=int, default=100)
    files.add_argument("--offset", type=int, default=0)
    receipt = command("receipt", _receipt, "the server's signed word that it has a file; --json is for keeping")
    receipt.add_argument("path")
    scan = command("scan", _scan, "look for changes now")
    scan.add_argument("path", nargs="?", help="only this folder")
    scan.add_argument("--force", action="store_true", help="hash everything again")
    scan.add_argument("--no-wait", action="store_true", help="do not wait for the scan to end")
    for group in (
        cli_add,
        cli_completion,
        cli_daemon,
        cli_deletions,
        cli_doctor,
        cli_excludes,
        cli_queue,
        cli_servers,
        cli_service,
        cli_steering,
        cli_top,
        cli_ui,
        cli_verify,
        cli_why,
        cli_indexedcp,
        cli_sftp,
        cli_aliases,
    ):
        group.add_commands(commands, command)
    return parser


_STORED = ("completed", "unchanged")
_STATES = ["stored", "pending", "discovered", "ready_for_upload", *_STORED, "vanished", "excluded", "unsupported"]


# -- run


def _run(args: argparse.Namespace) -> int:
    gc.disable()  # until all is built: what is imported stays, and looking through it takes a fifth of the start
    import asyncio

    from pp_assist import logs
    from pp_assist.posix import fastest_loop
    from pp_assist.run import run
    from pp_assist.settings import Settings, load_settings
    from pp_assist.state import AlreadyRunning
    from pp_assist.store.db import DatabaseUnusable

    api = {"host": args.host, "port": args.port}
    flags = {"log_level": args.log_level, "api": {key: value for key, value in api.items() if value is not None}}
    given = {key: value for key, value in flags.items() if value}
    settings = settings_of(args, given)
    try:
        logs.configure(settings.log_level, args.log_file)
    except OSError as error:
        raise CommandError(f"cannot log to {args.log_file}: {error.strerror}") from error
    config_path = args.config or os.path.join(settings.state_dir, "pp_assist.toml")

    def reload() -> Settings:
        return load_settings(given | {"state_dir": settings.state_dir}, args.config)

    def ready(port: int) -> None:
        print(f"pp_assist ready on http://{settings.api.host}:{port} (state in {settings.state_dir})", flush=True)

    try:
        with asyncio.Runner(loop_factory=fastest_loop()) as runner:
            runner.run(run(settings, os.path.abspath(config_path), ready, reload))
    except AlreadyRunning as error:
        raise CommandError(str(error), REFUSED) from error
    except DatabaseUnusable as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CommandError(f"port {settings.api.port} is taken; --port names another one", REFUSED) from error
        raise CommandError(f"cannot start: {error}") from error
    return OK


def _status(args: argparse.Namespace) -> int:
    import time

    end = time.monotonic() + (args.wait or 0)
    if args.wait:  # what has just been written counts, too
        ask(args, "POST", "/scan/trigger", {"wait": True}, timeout_s=args.wait + 60)
    while True:
        stats, status = ask(args, "GET", "/stats"), ask(args, "GET", "/status")
        paths = ask(args, "GET", "/paths")["paths"]
        unhealthy = [path for path in paths if path["status"] == "unhealthy"]
        left = any(queue["count"] for queue in stats["queues"].values())  # what is printed must not say otherwise
        busy = left or status["summary"]["state"] not in ("up_to_date", "nothing_watched")
        if not busy or waits_for_a_person(status["summary"]["reasons"]) or time.monotonic() >= end:
            break
        time.sleep(0.2)
    show(args, {**status, "stats": stats, "paths": paths}, lambda: _status_lines(stats, status, unhealthy))
    return PENDING if busy else OK


_FOR_A_PERSON = {"deletions_held", "held", "parked", "unread"}


def waits_for_a_person(reasons: Sequence[Any]) -> bool:
    """Say whether waiting is no use: there are reasons, and none of them goes away by itself."""
    return bool(reasons) and {reason["code"] for reason in reasons} <= _FOR_A_PERSON


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
            person = ": pp_assist deletions list" if name == "pending_deletion" and queue["held"] else ""
            lines.append(f"{queue['count']} {word}{more}{person}")
    if status["paused"]:
        lines.append(f"paused until {status['paused']['until'] or 'you say pp_assist resume'}")
    elif status["upload_obstacle"]:
        lines.append(f"nothing can be sent now: {status['upload_obstacle']}")
    if status["paths_to_compare"]:
        now = status["comparison"]
        lines.append(
            f"{status['paths_to_compare']} folders to compare with what the server has, before deletions are told"
            + (f" ({now['read']} of {now['total']} files of {now['path']})" if now else "")
        )
    lines += [f"warning: {printable(warning['text'])}" for warning in status["warnings"]]
    lines += [f"{path['path']}: {path['reason']}" for path in unhealthy]
    said = ("does_not_add_up", "unread", "behind", "not_scanned", "stopped")
    lines += [printable(each["text"]) for each in status["summary"]["reasons"] if each["code"] in said]
    return lines


def _paths(args: argparse.Namespace) -> int:
    answer = ask(args, "GET", "/paths")
    show(
        args,
        answer,
        lambda: [line for path in answer["paths"] for line in _path_lines(path)] or ["no folder is watched yet"],
    )
    return OK


def _path_lines(path: Any) -> list[str]:
    reason = f" ({path['reason']})" if path["reason"] else ""
    sftp = path.get("sftp")
    what = f"{path['id']:>4}  {path['status']:<10} {path['file_count']:>9} files  {printable(path['path'])}{reason}"
    waits = {name: sftp[name] for name in _ON_ITS_WAY if sftp[name]} if sftp else {}
    more = [f"      {', '.join(f'{count} {name}' for name, count in waits.items())}"] if waits else []
    return [what, *more, *(f"      {printable(_problem(problem))}" for problem in path["rule_problems"])]


_ON_ITS_WAY = ("arriving", "not_whole", "found", "fetched", "stored", "moving", "refused", "announcements")


def _problem(problem: Any) -> str:
    """Return what is wrong with a `.ppignore`: a line of it, or the whole."""
    where = "" if problem["line"] is None else f", line {problem['line']}: {problem['pattern']}"
    return f"{problem['source']}{where}: {problem['text']}"


def _rm(args: argparse.Namespace) -> int:
    wanted = named(args.path)
    for path in ask(args, "GET", "/paths")["paths"]:
        if args.path == str(path["id"]) or {k: path[k] for k in path if k in ("path", "path_b64")} == wanted:
            answer = ask(args, "DELETE", f"/paths/{path['id']}")
            said = [f"no longer watching {path['path']}; the server keeps its files"]
            show(args, answer, lambda: said + ([answer["left"]] if "left" in answer else []))  # noqa: B023
            return OK
    raise CommandError(f"{args.path} is not watched", REFUSED)


def _files(args: argparse.Namespace) -> int:
    from urllib.parse import urlencode

    query: dict[str, Any] = {"limit": args.limit, "offset": args.offset, "kind": args.kind}
    if args.status:
        query["status"] = args.status
    if args.path:
        query["path_prefix"] = absolute(args.path)
    answer = ask(args, "GET", f"/files?{urlencode(query)}")
    show(args, answer, lambda: [_file_line(file) for file in answer["files"]] + _rest(answer) or ["no such files"])
    return OK


def _file_line(file: Any) -> str:
    size = "-" if file["file_size"] is None else str(file["file_size"])
    status = "stored" if file["status"] in _STORED else file["status"]
    reason = f"  ({file['reason']})" if file["reason"] else ""
    target = f" -> {printable(file['link_target'])}" if "link_target" in file else ""
    return f"{status:<17} {size:>12}  {printable(file['filepath'])}{target}{reason}"


def _rest(answer: Any) -> list[str]:
    shown = answer["offset"] + len(answer["files"])
    return [f"... {answer['total'] - shown} more (--offset {shown})"] if shown < answer["total"] else []


def _receipt(args: argparse.Namespace) -> int:
    from pp_server.wire.names import to_query

    path = absolute(args.path)
    answer = ask(args, "GET", f"/receipt?path={to_query(path)}")
    shown = {name: value for name, value in answer.items() if value is not None and name != "proof"}
    shown["signed_by"] = f"key {answer['proof']['key_id']}"
    show(args, answer, lambda: [f"{name:<12} {printable(str(value))}" for name, value in shown.items()])
    return OK


def _scan(args: argparse.Namespace) -> int:
    body: dict[str, Any] = {"force": args.force, "wait": not args.no_wait}
    if args.path:
        body |= named(args.path)
    answer = ask(args, "POST", "/scan/trigger", body, timeout_s=24 * 3600)
    word = "started" if args.no_wait else "finished"
    show(args, answer, lambda: [f"scan {answer['scan_id']} {word} ({len(answer['paths'])} folders)"])
    return OK
