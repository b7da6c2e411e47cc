"""What the disk and the rules say about single paths, known or not, there or not. Blocking."""

from collections.abc import Iterable, Sequence

from pp_assist.core.errors import RootUnhealthy
from pp_assist.core.explain import Sight
from pp_assist.core.model import Kind, Root, Snapshot, Stat
from pp_assist.core.patterns import Judge
from pp_assist.core.rules import BEHIND_A_LINK, SERVER_DATA, Rules, marks_server_data
from pp_assist.disk import look_beneath, opened_root
from pp_assist.scanner.ignore import Ignores
from pp_server.wire.names import SERVER_DATA_MARK


def examine(root: Root, rules: Rules, relative: bytes) -> Sight:
    """Look at *relative*, a path below *root*, as a scan would: from the root down, until something leaves it out."""
    try:
        return examine_all(root, rules, [(relative, Kind.FILE, 0)])[0]
    except RootUnhealthy as error:
        return Sight(root_problem=str(error))


def examine_all(root: Root, rules: Rules, paths: Iterable[tuple[bytes, Kind, int]]) -> list[Sight]:
    """`examine` for many: (path, kind and size of what is thought to be there).

    A path that is not there is judged by the rules as if it were.

    Raises:
        RootUnhealthy: nothing can be said, the root is not there.
    """
    with opened_root(root.path, root.identity) as root_fd:
        examiner = _Examiner(root, rules, root_fd)
        return [examiner.look(*path) for path in paths]


def left_out_of(root: Root, rules: Rules, files: Sequence[tuple[bytes, int]]) -> list[bool]:
    """Say of *files*, a path and a size each, whether they would be left out; of none, where nobody can know."""
    try:
        return [sight.out is not None for sight in examine_all(root, rules, [(n, Kind.FILE, s) for n, s in files])]
    except RootUnhealthy:
        return [False] * len(files)


class _Examiner:
    """Remembers the folders on the way: paths come many at a time from each."""

    def __init__(self, root: Root, rules: Rules, root_fd: int) -> None:
        self._rules = rules
        self._root_fd = root_fd
        self._ignores = Ignores(root, rules, root_fd)
        self._folders: dict[bytes, Sight] = {b"": Sight(kind=Kind.DIR, is_root=True)}

    def look(self, relative: bytes, kind: Kind, size_bytes: int) -> Sight:
        """Return what is at *relative*."""
        directory, _, name = relative.rpartition(b"/")
        return self._entry(directory, name, kind, size_bytes) if relative else self._folders[b""]

    def _folder(self, path: bytes) -> Sight:
        if path not in self._folders:
            directory, _, name = path.rpartition(b"/")
            self._folders[path] = self._entry(directory, name, Kind.DIR, 0)
        return self._folders[path]

    def _entry(self, directory: bytes, name: bytes, expected: Kind, size_bytes: int) -> Sight:
        above = self._folder(directory)
        if above.problem or above.out or above.unsupported:
            return above
        if above.kind is Kind.SYMLINK:
            return Sight(out=BEHIND_A_LINK)
        judge = Judge(self._ignores.reach(directory)[1], directory)
        entry = mark = None
        if above.kind is Kind.DIR:
            try:
                mark = look_beneath(self._root_fd, directory, SERVER_DATA_MARK)
                entry = look_beneath(self._root_fd, directory, name)
            except OSError as error:
                return Sight(problem=error.strerror or str(error))
        of_server = SERVER_DATA if marks_server_data([mark] if mark else []) else None
        if entry is None:  # what is not there may be left out all the same
            as_it_was = Snapshot(name, expected, Stat(size_bytes, 0, 0, 0, self._rules.root_device), 0, 0, 0)
            return Sight(out=of_server or self._rules.excluded(as_it_was, judge))
        out = of_server or self._rules.excluded(entry, judge)
        unsupported = self._rules.unsupported(directory, entry)
        return Sight(None, None, entry.kind, entry.stat.size_bytes, entry.stat.mtime_ns, out, unsupported)
