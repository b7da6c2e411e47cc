"""`pp_assist sftp`: an SFTP server tried, listed, polled, without a daemon; and what `add` needs of a drop folder."""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from pp_assist.cli_asking import FAILED, NOT_REACHABLE, OK, REFUSED, USAGE, CommandError, printable


def add_commands(commands: Any, command: Any) -> None:
    """Add them to the parser."""
    text = "try, list or poll a folder on an SFTP server; no daemon is needed (see docs/sftp.md)"
    group = commands.add_parser("sftp", help=text, description=text)
    actions = group.add_subparsers(required=True, metavar="ACTION")
    base = argparse.ArgumentParser(add_help=False)
    base.add_argument("url", metavar="URL", help="sftp://USER@HOST[:PORT]/DIR")
    add_login(base)
    test = command("test", _test, "is it there, whose key does it show, does it let us in?", actions, base)
    test.add_argument("--json", action="store_true", help="as JSON")
    ls = command("ls", _ls, "what is in the folder, and what of it would be taken", actions, base)
    ls.add_argument("--json", action="store_true", help="as JSON")
    ls.add_argument("--pattern", action="append", metavar="GLOB", help="take only such names; again for more")
    poll = command("poll", _poll, "move the PDFs that are complete aside and announce them: one pass", actions, base)
    poll.add_argument("--json", action="store_true", help="as JSON")
    poll.add_argument("--source-files", metavar="DIR", help="where they are, below the URL (or SOURCE_FILES)")
    poll.add_argument("--in-progress", metavar="DIR", help="where they go, below the URL (or IN_Progress_Path)")
    poll.add_argument("--api-url", metavar="URL", help="who is told (or DOC_AI_API_URL)")
    poll.add_argument("--secret-file", metavar="FILE", help="the secret that signs what is told")


def add_login(parser: argparse.ArgumentParser) -> None:
    """Add how to get into an SFTP server, and whom to believe there."""
    parser.add_argument("--password-file", metavar="FILE", help="SFTP: the password; - reads it from standard input")
    parser.add_argument("--key-file", metavar="FILE", help="SFTP: the private key")
    parser.add_argument("--host-key", metavar="SHA256:...", help="SFTP: the one key of the server that is believed")
    parser.add_argument("--known-hosts", metavar="FILE", help="SFTP: instead of ~/.ssh/known_hosts")


def add_drop_folder(parser: argparse.ArgumentParser) -> None:
    """Add what `add` needs of a drop folder."""
    add_login(parser)
    parser.add_argument("--after", choices=("leave", "move", "remove"), help="SFTP: what becomes of a stored file")
    parser.add_argument("--in-progress", metavar="DIR", help="SFTP: where it is moved to, into a folder for each day")
    parser.add_argument("--pattern", action="append", metavar="GLOB", help="SFTP: take only such names; again for more")
    parser.add_argument("--announce", metavar="URL", help="SFTP: the API that is told of what arrived")
    parser.add_argument("--announce-secret-file", metavar="FILE", help="SFTP: the secret that signs what it is told")


def drop_folder(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of POST /paths that `add` was given for a drop folder."""
    from pp_assist.core.sftp_url import is_sftp

    sftp: dict[str, Any] = {
        "password": _secret(args.password_file),
        "key_file": _path(args.key_file),
        "host_key": args.host_key,
        "known_hosts": _path(args.known_hosts),
        "after": args.after,
        "in_progress": args.in_progress,
        "patterns": args.pattern,
    }
    if args.announce:
        sftp["announce"] = {"url": args.announce, "secret": _secret(args.announce_secret_file) or ""}
    given = {name: value for name, value in sftp.items() if value is not None}
    if not is_sftp(args.path):
        if given:
            raise CommandError("options of SFTP need a folder sftp://USER@HOST[:PORT]/DIR", USAGE)
        return {}
    return {"sftp": given}


class OnItsWay(NamedTuple):
    """What a drop folder has that is not here yet."""

    is_known: bool
    """It was looked at since."""
    arriving: int
    """Files that come, or are to be moved or removed once they are stored."""
    obstacle: str | None
    """Why there is more that does not come."""


def on_its_way(path: Any, look_before: str | None) -> OnItsWay:
    """Return how far a watched folder is on the side of its SFTP server; of others, nothing is on its way."""
    from pp_assist.core.sftp_url import is_sftp

    facts = path.get("sftp")
    if not is_sftp(path["path"]):
        return OnItsWay(True, 0, None)
    if facts is None or facts["last_look_at"] in (None, look_before):
        return OnItsWay(False, 0, None)
    stuck = {
        "not_whole": "of {} files some is missing on the SFTP server",
        "refused": "the SFTP server, or the disk here, refuses {} files for now",
        "unread_folders": "the SFTP server does not list {} folders",
    }
    obstacles = [text.format(facts[name]) for name, text in stuck.items() if facts[name]]
    open_files = sum(facts[name] for name in ("arriving", "found", "fetched", "stored", "moving"))
    return OnItsWay(True, max(0, open_files - facts["refused"]), "; ".join(obstacles) or None)


def _test(args: argparse.Namespace) -> int:
    with _connected(args) as (client, transport, path):
        from pp_assist.sftp.connecting import list_folder, told_apart
        from pp_assist.sftp.hostkeys import fingerprint

        with told_apart():
            entries = list_folder(client, path)
        found = {
            "host_key": fingerprint(transport.get_remote_server_key().asbytes()),
            "server": transport.remote_version,
            "names": len(entries),
        }
    text = f"{found['server']} lets us in; its key is {found['host_key']}; {found['names']} names in the folder"
    print(json.dumps(found, indent=2) if args.json else printable(text))
    return OK


def _ls(args: argparse.Namespace) -> int:
    from pp_assist.sftp.polling import is_wanted

    with _connected(args) as (client, _, path):
        from pp_assist.sftp.connecting import list_folder, told_apart

        with told_apart():
            entries = sorted(list_folder(client, path))
    rows = [
        {
            "name": os.fsdecode(each.name).encode("utf-8", "replace").decode(),
            "size": each.size_bytes,
            "mtime": each.mtime_s,
            "kind": "file" if each.is_file else "dir" if each.is_directory else "other",
            "taken": each.is_file and is_wanted(each.name, args.pattern or ()),
        }
        for each in entries
    ]
    if args.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return OK
    for row in rows:
        print(f"{'+' if row['taken'] else ' '} {row['kind']:<5} {row['size']:>12}  {printable(str(row['name']))}")
    return OK


def _poll(args: argparse.Namespace) -> int:
    from pp_assist.sftp import SftpService
    from pp_assist.sftp.variables import variable

    target = _target(args.url)
    config = {
        "project_id": args.url,
        "sftp_host": target.host,
        "sftp_port": target.port,
        "sftp_user": target.username,
        "sftp_pass": _secret(args.password_file),
        "sftp_key": args.key_file,
        "sftp_host_key": args.host_key,
        "sftp_known_hosts": args.known_hosts,
        "sftp_strict": True,
        "path": target.path,
        "secret": _secret(args.secret_file),
    }
    if not (args.api_url or variable("DOC_AI_API_URL")) or not (args.in_progress or variable("IN_Progress_Path")):
        raise CommandError("poll needs --api-url and --in-progress, or DOC_AI_API_URL and IN_Progress_Path", USAGE)
    service = SftpService()
    with _said():  # the service's coroutine only logs what goes wrong
        try:
            service._poll(config, args.api_url, None, args.source_files, args.in_progress)
        finally:
            service.close_all_connections()
    if args.json:
        print(json.dumps({"status": "polled", "url": args.url}))
    return OK


@contextlib.contextmanager
def _connected(args: argparse.Namespace) -> Iterator[tuple[Any, Any, str]]:
    """Yield a connection to the folder that the command line names."""
    from pp_assist.sftp.project import rules_of

    target = _target(args.url)
    with _said():
        from pp_assist.sftp.connecting import Login, connect

        login = Login(target.username, _secret(args.password_file), _path(args.key_file))
        rules = rules_of(args.host_key, _path(args.known_hosts), strict=True)
        client, transport = connect(target.host, target.port, login, rules)
        with contextlib.closing(transport):
            yield client, transport, target.path


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """Have what goes wrong with SFTP in the block said without a traceback."""
    from pp_assist.sftp.errors import SftpError

    try:
        yield
    except SftpError as error:
        raise CommandError(str(error), _exit_code(error)) from error


def _exit_code(error: Exception) -> int:
    from pp_assist.sftp import errors

    if isinstance(error, errors.SftpUnreachable):
        return NOT_REACHABLE
    return FAILED if isinstance(error, errors.ExtraMissing) else REFUSED


def _target(url: str) -> Any:
    from pp_assist.core.sftp_url import BadSftpUrl, parse

    try:
        return parse(url)
    except BadSftpUrl as error:
        raise CommandError(f"{url}: {error}" if "password" not in str(error) else str(error), USAGE) from error


def _secret(file: str | None) -> str | None:
    if file is None:
        return None
    if file == "-":
        return sys.stdin.readline().rstrip("\n")
    try:
        with open(os.path.expanduser(file), encoding="utf-8") as opened:
            return opened.readline().rstrip("\n")
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from error


def _path(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(os.path.expanduser(path))
