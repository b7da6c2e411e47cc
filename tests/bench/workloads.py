"""Trees to be measured with: the same bytes from the same seed, wherever they are made.

`python -m tests.bench.workloads NAME FOLDER` makes one by hand. Standard library only.
"""

import argparse
import math
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

SMALLEST, LARGEST = KIB, 16 * KIB
DIRS_PER_GROUP = 40
"""W1 has two levels: groups of so many directories."""

WHEELS = ("django==5.1", "numpy==2.1.0", "scipy==1.14.1", "pandas==2.2.2", "sympy==1.13.2", "matplotlib==3.9.2")
"""Real files, for W2, where pip can download."""

REAL_FILES = 30_000


class NoWorkload(Exception):
    """It cannot be made here; the message says why."""


@dataclass(frozen=True)
class Extent:
    """How much there is in a tree."""

    files: int
    size_bytes: int


def files_below(root: Path) -> Iterator[os.DirEntry[str]]:
    """Yield every regular file, in an order that does not depend on the file system."""
    folders = [str(root)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        yield from (entry for entry in found if entry.is_file(follow_symlinks=False))
        folders += [entry.path for entry in reversed(found) if entry.is_dir(follow_symlinks=False)]


def extent(root: Path) -> Extent:
    """Count what is there."""
    sizes = [entry.stat(follow_symlinks=False).st_size for entry in files_below(root)]
    return Extent(len(sizes), sum(sizes))


# -- W1 and W9: many small files


def small_files(root: Path, count: int = 50_000, dirs: int = 1_000, seed: int = 1) -> None:
    """Write *count* files of 1–16 KiB, their sizes log-uniform, their bytes random, evenly into *dirs* directories."""
    rng = random.Random(seed)
    folders = [root / f"g{number // DIRS_PER_GROUP:03d}" / f"d{number:05d}" for number in range(min(dirs, count))]
    for folder in folders:
        folder.mkdir(parents=True)
    for number in range(count):
        size = round(math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST))))
        _write(folders[number % len(folders)] / f"f{number:07d}.dat", rng.randbytes(size))


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)


# -- W3 and W6: one large file


def large_file(root: Path, size_bytes: int = 4 * GIB, seed: int = 3) -> None:
    """Write one file of random bytes."""
    root.mkdir(parents=True, exist_ok=True)
    rng, left = random.Random(seed), size_bytes
    with open(root / "large.bin", "wb", buffering=0) as file:
        while left:
            left -= file.write(rng.randbytes(min(left, 16 * MIB)))


def overwrite(root: Path, size_bytes: int = 4 * KIB, seed: int = 61) -> None:
    """Overwrite a little in the middle of the large file, in place."""
    path = root / "large.bin"
    with open(path, "r+b", buffering=0) as file:
        file.seek(path.stat().st_size // 2)
        file.write(random.Random(seed).randbytes(size_bytes))


def insert(root: Path, at: int = 1_000) -> None:
    """Write the large file anew, with one byte more near its beginning: everything behind it moves."""
    path, new = root / "large.bin", root / "large.new"
    with open(path, "rb") as source, open(new, "wb") as target:
        target.write(source.read(at) + b"X")
        shutil.copyfileobj(source, target, 8 * MIB)
    new.replace(path)


# -- W5: a little changes everywhere


def mutate(root: Path, seed: int = 5, share: float = 0.01) -> dict[str, int]:
    """Modify, delete and rename a share of all files each; return how many that was."""
    rng = random.Random(seed)
    paths = [entry.path for entry in files_below(root)]
    count = max(1, int(len(paths) * share))
    chosen = rng.sample(paths, 3 * count)
    for path in chosen[:count]:
        with open(path, "r+b", buffering=0) as file:
            file.seek(rng.randrange(max(1, os.path.getsize(path) - 64)))
            file.write(rng.randbytes(64))
    for path in chosen[count : 2 * count]:
        os.unlink(path)
    for path in chosen[2 * count :]:
        os.rename(path, f"{path}.renamed")
    return {"modified": count, "deleted": count, "renamed": count}


# -- W2: real files


def real_files(root: Path, cache: Path, count: int = REAL_FILES) -> list[str]:
    """Copy about *count* real files into the tree; return where they are from.

    First from wheels that pip downloads (into *cache*, once), then from what is installed here: Python packages, node
    modules. Two machines have the same tree only if both could download.

    Raises:
        NoWorkload: nothing could be downloaded, and too little is installed here.
    """
    root.mkdir(parents=True)
    left, sources = count, []
    wheels = download(cache)
    for wheel in wheels:
        left -= _unpack(wheel, root / wheel.stem, left)
        sources.append(wheel.name)
    for folder in installed_trees():
        if left <= 0:
            break
        copied = _copy(folder, root / f"installed{len(sources)}", left)
        left -= copied
        sources.append(f"{copied} files of {folder}")
    if left > count // 2:
        offline = "" if wheels else f"; pip could not download any of {', '.join(WHEELS)}"
        raise NoWorkload(f"only {count - left} of {count} real files found{offline}")
    return sources


def download(cache: Path) -> list[Path]:
    """Have pip download the wheels, unless they are there; return those that are."""
    cache.mkdir(parents=True, exist_ok=True)
    if not (found := sorted(cache.glob("*.whl"))):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        for wheel in WHEELS:  # one by one: what one index lacks need not cost the others
            done = subprocess.run([*command, "--dest", str(cache), wheel], capture_output=True, check=False)
            if done.returncode:
                print(f"pip download {wheel}: {done.stderr.decode().strip().splitlines()[-1:]}", file=sys.stderr)
        found = sorted(cache.glob("*.whl"))
    return found


def _unpack(wheel: Path, into: Path, most: int) -> int:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")][: max(0, most)]
        archive.extractall(into, names)
    return len(names)


def installed_trees() -> list[Path]:
    """Return folders of this machine that hold many real files."""
    here = sysconfig.get_paths()
    places = [here["purelib"], here["stdlib"], "/usr/lib/node_modules", "/usr/lib/python3/dist-packages", "/usr/share"]
    return [Path(place) for place in places if os.path.isdir(place)]


def _copy(source: Path, into: Path, most: int) -> int:
    copied = 0
    for entry in files_below(source):
        if copied >= most:
            break
        target = into / os.path.relpath(entry.path, source)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(entry.path, target)
        except OSError:  # somebody else's; one file less
            continue
        copied += 1
    return copied


def rest(seconds: float = 3.0) -> None:
    """Let files come to rest: what was written a moment ago is not hashed yet, for a good reason."""
    os.sync()
    time.sleep(seconds)


def main() -> None:
    """Make one tree."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.workloads", description=__doc__)
    parser.add_argument("name", choices=["small", "real", "large", "overwrite", "insert", "mutate"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--dirs", type=int, default=1_000)
    parser.add_argument("--mib", type=int, default=4096)
    parser.add_argument("--cache", type=Path, default=Path(".bench/wheels"))
    options = parser.parse_args()
    match options.name:
        case "small":
            small_files(options.folder, options.files, options.dirs)
        case "real":
            print("\n".join(real_files(options.folder, options.cache, options.files)))
        case "large":
            large_file(options.folder, options.mib * MIB)
        case "overwrite":
            overwrite(options.folder)
        case "insert":
            insert(options.folder)
        case "mutate":
            print(mutate(options.folder))
    print(extent(options.folder))


if __name__ == "__main__":
    main()
