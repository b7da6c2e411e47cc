"""What the disk and the rules say about one path, known or not. Blocking."""

from pp_assist.core.errors import RootUnhealthy
from pp_assist.core.explain import Sight
from pp_assist.core.model import Kind, Root
from pp_assist.core.patterns import Judge
from pp_assist.core.rules import SERVER_DATA, LeftOut, Rules, marks_server_data
from pp_assist.disk import look_beneath, opened_root
from pp_assist.scanner.ignore import Ignores
from pp_server.wire.names import SERVER_DATA_MARK


def examine(root: Root, rules: Rules, relative: bytes) -> Sight:
    """Look at *relative*, a path below *root*, as a scan would: from the root down, until something leaves it out."""
    try:
        with opened_root(root.path, root.device, root.inode) as root_fd:
            return _examine(root_fd, Ignores(root, rules, root_fd), rules, relative.split(b"/") if relative else [])
    except RootUnhealthy as error:
        return Sight(root_problem=str(error))


def _examine(root_fd: int, ignores: Ignores, rules: Rules, parts: list[bytes]) -> Sight:
    sight = Sight(kind=Kind.DIR)
    here = b""
    for position, name in enumerate(parts):
        is_last = position == len(parts) - 1
        judge = Judge(ignores.reach(here)[1], here)
        try:
            mark = look_beneath(root_fd, here, SERVER_DATA_MARK)
            entry = look_beneath(root_fd, here, name)
        except OSError as error:
            return Sight(problem=error.strerror or str(error))
        if entry is None:  # what is not there may be left out all the same
            rule = judge.rule(name, is_folder=not is_last)
            return Sight(out=LeftOut("pattern", rule) if rule else None)
        out = (SERVER_DATA if marks_server_data([mark] if mark else []) else None) or rules.excluded(entry, judge)
        unsupported = rules.unsupported(here, entry)
        sight = Sight(None, None, entry.kind, entry.stat.size_bytes, entry.stat.mtime_ns, out, unsupported)
        if out or unsupported:
            return sight
        if not is_last and entry.kind is not Kind.DIR:
            return Sight()
        here = here + b"/" + name if here else name
    return sight
