"""`pp_assist doctor`: is everything here as it must be, from the file modes to a kill in mid-chunk?"""

import argparse
import contextlib
import os
from collections.abc import Iterator
from typing import Any

from pp_assist.cli_asking import FAILED, OK, CommandError, ask, printable, settings_of, show

MARKS = {"ok": "ok     ", "failed": "FAILED ", "skipped": "-      "}


def add_commands(commands: Any, command: Any) -> None:
    """Add it to the parser."""
    text = "check this machine, the daemon's files and the server, and rehearse everything with files of its own"
    doctor = command("doctor", _doctor, text)
    doctor.add_argument("--quick", action="store_true", help="without the rehearsal: nothing is sent")
    doctor.add_argument("--bundle", metavar="FILE", help="write a ZIP for whoever helps: logs, versions, no secrets")


def _doctor(args: argparse.Namespace) -> int:
    checks, rehearsed = [], [""]
    for check in _checks(args, rehearsed):
        checks.append(check)
        if not args.json:
            print(f"{MARKS[check.status]} {check.name:<17} {printable(check.detail)}", flush=True)
            if check.advice:
                print(f"{'':25} -> {printable(check.advice)}", flush=True)
    wrong = [check.name for check in checks if check.status == "failed"]
    answer = {"ok": not wrong, "failed": wrong, "checks": [check.fields() for check in checks], "bundle": args.bundle}
    if args.bundle:
        _write_bundle(args, answer, rehearsed[0])
    show(args, answer, lambda: [f"{len(wrong)} failed: {', '.join(wrong)}" if wrong else "all is well"])
    return FAILED if wrong else OK


def _checks(args: argparse.Namespace, log: list[str]) -> Iterator[Any]:
    """Yield what each check found; the log of the rehearsal is put into *log*."""
    import asyncio

    from pp_assist.doctor import local, rehearsal, remote
    from pp_assist.doctor.check import failed, ok, skipped

    try:
        settings = settings_of(args)
    except CommandError as error:
        yield failed("configuration", str(error), "the message names the setting: correct it, or remove it")
        return
    args.settings, folder = settings, settings.state_dir
    yield ok("configuration", "every setting is known and possible")
    yield local.directory(folder)
    yield local.modes(folder)
    yield local.disk_space(folder)
    database = local.database(folder)
    yield database
    yield local.daemon(folder, _health(args))
    server = local.known_server(folder)
    if server is None:
        why = "nobody can say which one" if database.status == "failed" else "none is configured: pp_assist server add"
        yield from (skipped(name, why) for name in remote.NAMES)
        can_rehearse = True
    else:
        of_server = asyncio.run(remote.server_checks(server))
        yield from of_server
        can_rehearse = all(check.status != "failed" or check.name == "clock" for check in of_server)
    if args.quick or not can_rehearse:
        why = "--quick" if args.quick else "the server cannot be used, see above"
        yield from (skipped(name, why) for name in rehearsal.NAMES)
        return
    with rehearsal.Rehearsal(server, settings.uploader.allow_http) as rehearsing:
        yield from rehearsing.checks()
    log[0] = rehearsing.log


def _health(args: argparse.Namespace) -> tuple[int, object] | None:
    try:
        return 200, ask(args, "GET", "/health", timeout_s=10)
    except CommandError:
        return None


def _write_bundle(args: argparse.Namespace, report: Any, log: str) -> None:
    from pp_assist.doctor import bundle, local

    parts: dict[str, Any] = {"report": report, "rehearsal_log": log}
    folder = ""
    if hasattr(args, "settings"):
        folder = args.settings.state_dir
        parts["settings"] = args.settings.shown()
    for name in ("status", "stats", "paths", "servers"):
        with contextlib.suppress(CommandError):
            parts[name] = ask(args, "GET", f"/{name}", timeout_s=10)
    try:
        bundle.write(os.path.abspath(args.bundle), folder, parts, local.secrets_in(folder) if folder else [])
    except OSError as error:
        raise CommandError(f"cannot write {args.bundle}: {error.strerror}") from error
