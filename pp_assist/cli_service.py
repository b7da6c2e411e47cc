"""`pp_assist install-service` and `uninstall-service`: have the system start the daemon when its user logs in."""

import argparse
import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pp_assist import ourselves
from pp_assist.cli_asking import OK, REFUSED, CommandError, printable, settings_of, show

UNIT = "putplace-assist.service"
LABEL = "org.putplace.assist"

SYSTEMD = """\
[Unit]
Description=PutPlace Assist: puts files in their place on a server
After=network-online.target
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=exec
ExecStart={command}
Restart=on-failure
RestartSec=5
TimeoutStopSec={stop_s}
Nice=10
IOSchedulingClass=idle
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
"""
"""What it may not do. It must be able to read whatever folder its user has it watch, so nothing hides any; and whatever
needs a view of the file system of its own (ProtectSystem and its like) needs other user ids in a unit of a user, and
the owners of files would be recorded wrongly."""


def add_commands(commands: Any, command: Any) -> None:
    """Add them to the parser."""
    install = command("install-service", _install, "have the system run the daemon for you (systemd, launchd)")
    install.add_argument("--print", action="store_true", dest="only_print", help="print the file, change nothing")
    command("uninstall-service", _uninstall, "undo install-service; nothing else is removed")


def unit(command: list[str], stop_s: float) -> str:
    """Return the unit for systemd that runs *command*."""
    return SYSTEMD.format(command=" ".join(map(_quoted, command)), stop_s=int(stop_s) + 10)


def plist(command: list[str], log: str) -> str:
    """Return the agent for launchd that runs *command*."""
    what = {
        "Label": LABEL,
        "ProgramArguments": command,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "Nice": 10,
        "Umask": 0o077,
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    return plistlib.dumps(what).decode()


def _quoted(word: str) -> str:
    """Return *word* as one word of a unit file, with nothing in it that means something there."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _install(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    command = [*ourselves.command(), "run", "--state-dir", settings.state_dir]
    if args.config:
        command += ["--config", os.path.abspath(args.config)]
    if any(not word.isprintable() for word in command):
        raise CommandError(f"a service cannot be given such a path: {printable(' '.join(command))}", REFUSED)
    path, enable, _ = _place()
    if sys.platform == "darwin":
        text = plist(command, os.path.join(settings.state_dir, "launchd.log"))
    else:
        text = unit(command, settings.daemon.shutdown_timeout)
    if args.only_print:
        show(args, {"path": str(path), "text": text}, lambda: [text.rstrip("\n")])
        return OK
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    ran = _run_all(enable)
    show(args, {"written": str(path), "commands": ran}, lambda: [f"written: {path}", *map(_ran, ran)])
    return OK


def _uninstall(args: argparse.Namespace) -> int:
    path, _, disable = _place()
    if not path.exists():
        raise CommandError(f"there is no {path}", REFUSED)
    ran = _run_all(disable)
    path.unlink()
    show(args, {"removed": str(path), "commands": ran}, lambda: [*map(_ran, ran), f"removed: {path}"])
    return OK


def _place() -> tuple[Path, list[list[str]], list[list[str]]]:
    """Return where the file goes, and what enables and disables it."""
    if sys.platform == "darwin":
        path = Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        return path, [["launchctl", "load", "-w", str(path)]], [["launchctl", "unload", "-w", str(path)]]
    if sys.platform == "linux":
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        systemctl = ["systemctl", "--user"]
        enable = [[*systemctl, "daemon-reload"], [*systemctl, "enable", "--now", UNIT]]
        return Path(home) / "systemd" / "user" / UNIT, enable, [[*systemctl, "disable", "--now", UNIT]]
    raise CommandError("there is no such service on this system", REFUSED)


def _run_all(commands: list[list[str]]) -> list[dict[str, str | None]]:
    """Run *commands*, and return why each did not go: the file is in its place all the same."""
    ran: list[dict[str, str | None]] = []
    for command in commands:
        program = shutil.which(command[0])
        done = None if program is None else subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        problem = None
        if done is None or done.returncode:
            problem = "not here" if done is None else done.stderr.strip() or f"exit code {done.returncode}"
        ran.append({"command": " ".join(command), "problem": problem})
    return ran


def _ran(each: dict[str, str | None]) -> str:
    return (
        f"done: {each['command']}"
        if each["problem"] is None
        else (f"not done: {each['command']} ({printable(each['problem'])})")
    )
