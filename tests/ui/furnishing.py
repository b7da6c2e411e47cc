"""Worlds with something to look at."""

import os
import sqlite3
from contextlib import closing

from tests.e2e.harness import World, eventually, settled

HOSTILE = [
    b"<img src=x onerror=alert(1)>.txt", b"<script>window.owned=1</script>", b"a\nb\tc\x1b[31m.txt", b"caf\xe9.txt",
    b"javascript:alert(1)", b"' onclick='alert(1)", b'" autofocus onfocus="alert(1)', "\u202egpj.exe".encode(),
    b"${window.owned=1}{{constructor.constructor('window.owned=1')()}}", b"&lt;b&gt;&amp;.txt", b"%3Cb%3E#?&=.txt",
    "é\u0301\u200b .txt".encode(), b" leading and trailing ", b"x" * 200 + b".txt",
]  # fmt: skip
"""Names that would do something if they were ever anything but text."""


def furnish(world: World) -> None:
    """Fill the tree of a running world with one of everything that a screen shows."""
    for number in range(40):
        world.write(f"letters/{number:02}.txt", b"dear all, %d\n" % number * (number + 1))
    for name in HOSTILE:
        world.write(b"hostile/" + name, b"content of " + name)
    world.write("pictures/large.bin", os.urandom(600_000))
    world.write("Thumbs.db", b"x")
    world.write("build/out.o", b"x")
    os.mkfifo(world.path("fifo"))
    os.symlink("letters/00.txt", world.path("link"))
    world.daemon.ask("POST", "/excludes", {"pattern": "build/"})
    settle(world)


def settle(world: World) -> None:
    """Scan, and wait until nothing is left to do."""
    world.daemon.scan()
    settled(lambda: list(world.daemon.pending().items()), 60.0)


def lose_many(world: World, folder: str = "letters") -> int:
    """Remove a folder of so many files that a person is asked; return how many, once he is."""
    there = world.path(folder)
    names = os.listdir(there)
    for name in names:
        os.unlink(os.path.join(there, name))
    os.rmdir(there)
    world.daemon.scan()
    eventually(lambda: [each["count"] for each in world.daemon.ask("GET", "/deletions")["held"]] == [len(names)])
    return len(names)


def remember_many(world: World, count: int) -> None:
    """Have a stopped daemon believe that it knows *count* more files, in a folder that is not there any more.

    Nothing is concluded about such a folder, so they stay, and no disk has to hold them.
    """
    with closing(sqlite3.connect(world.daemon.state / "assist.db")) as db, db:
        (root_id,) = db.execute("SELECT id FROM roots").fetchone()
        (top,) = db.execute("SELECT id FROM directories WHERE path = x''").fetchone()
        (first,) = db.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM files").fetchone()
        folders = [(10_000 + n, root_id, top, b"many/folder %04d" % n) for n in range(count // 1000)]
        db.executemany("INSERT INTO directories (id, root_id, parent_id, path) VALUES (?, ?, ?, ?)", folders)
        facts = "size_bytes, mtime_ns, ctime_ns, inode, device, mode, uid, gid, sha256, hashed_at_ms"
        db.executemany(
            f"INSERT INTO files (id, directory_id, name, state, gen, discovered_at_ms, kind, {facts})"
            f" VALUES (?, ?, ?, 'ready_for_upload', 1, 1000000, 'file', ?, ?, ?, ?, 1, 420, 0, 0, ?, 1000000)",
            (
                (first + n, 10_000 + n // 1000, b"file %06d.txt" % n, n, 10**18 + n, 10**18 + n, 10**9 + n, f"{n:064x}")
                for n in range(count // 1000 * 1000)
            ),
        )
