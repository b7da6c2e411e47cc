"""When was a file last looked for? What a scan finds as it is known is not written down one by one."""

from pathlib import PurePosixPath

import pytest

from pp_assist.store.db import Database
from pp_assist.store.report import Report
from pp_assist.store.roots import RootsTable

_DIRECTORY = "INSERT INTO directories (root_id, path, listed_at_ms) VALUES (1, ?, 20)"
_FILE = """
INSERT INTO files (directory_id, name, kind, state, gen, discovered_at_ms)
SELECT id, ?, 'file', ?, 1, 10 FROM directories WHERE path = ?"""


@pytest.mark.parametrize(
    ("unread", "late"),
    [
        ("", {"f", "a/f", "a/b/f", "ab/f"}),
        ("a", {"f", "ab/f"}),
        ("a/b", {"f", "a/f", "ab/f"}),
        (".", set()),
    ],
)
async def test_a_scan_looks_for_everything_but_what_it_could_not_read(
    db: Database, unread: str, late: set[str]
) -> None:
    roots = RootsTable(db)
    await roots.add(b"/root", b"/root", True, (7, 1), 0)
    async with db.transaction() as tx:
        await tx.execute("UPDATE directories SET listed_at_ms = 20")
        await tx.executemany(_DIRECTORY, [(b"a",), (b"a/b",), (b"ab",)])
        files = [(b"f", "discovered", path) for path in (b"", b"a", b"a/b", b"ab")]
        await tx.executemany(_FILE, [*files, (b"out", "excluded", b"")])
        if unread:
            path = b"" if unread == "." else unread.encode()
            await tx.execute("UPDATE directories SET problem = 'cannot list it' WHERE path = ?", (path,))
    await roots.scanned(1, 30)
    rows, _ = await Report(db).files(None, None, 100, 0)
    checked = {str(PurePosixPath(row.filepath.decode()).relative_to("/root")): row.checked_at_ms for row in rows}
    assert {name for name, at in checked.items() if at == 30} == late
    assert {at for name, at in checked.items() if name not in late} == {20}
