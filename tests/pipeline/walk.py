"""A seeded random walk: changes to the tree, bad weather, restarts, lost memory; then peace, and everything must agree.

    python tests/pipeline/walk.py --seconds 600 [--seed 1]      (or: make prove-walk)

walks one seed after another for that long. A seed that fails is printed; `--seed N --seconds 0` repeats just it.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from pair import Pair, noise, running_pair

from pp_assist.uploader import uploader
from pp_assist.uploader.batch import BATCH_FILES

NAMES = ["a", "b", "c", "d/e", "d/f", "d/g/h", "i/j", "caf\udce9"]
WORDS = ["lost_request", "lost_response", "twice", "500", "503", "html", "other_json", "401", "ok", "ok"]
STEPS = 40


class Walk:
    """One seed's walk over one pair."""

    def __init__(self, pair: Pair, seed: int) -> None:
        self.pair = pair
        self.rng = random.Random(seed)
        self.log: list[str] = []
        self.copy: bytes | None = None

    async def go(self) -> None:
        for _ in range(STEPS):
            step = self.rng.choices(
                [self.change, self.weather, self.scan, self.pause, self.restart_daemon, self.restart_server]
                + [self.lose_memory, self.keep_memory, self.put_memory_back, self.ruin_memory]
                + [self.move_root_away],
                weights=[40, 12, 20, 14, 5, 4, 2, 1, 2, 1, 3],
            )[0]
            self.log.append(step.__name__)
            await step()
        self.log.append("peace")
        self.pair.weather.forecast.clear()
        await self.pair.assert_equal()
        sent = self.pair.bytes_sent
        await self.pair.stop_daemon()
        await self.pair.start_daemon()
        await self.pair.assert_equal()
        assert self.pair.bytes_sent == 0, f"{self.pair.bytes_sent} bytes again after {sent}"

    def path(self) -> Path:
        return self.pair.tree / self.rng.choice(NAMES)

    async def change(self) -> None:
        path, kind = self.path(), self.rng.randrange(12)
        try:
            if kind <= 2:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(noise(self.rng.choice([0, 10, 5000, 262_144, 1_500_000]), self.rng.randrange(6)))
            elif kind == 3:
                before = path.stat()
                path.write_bytes(noise(before.st_size, self.rng.randrange(100)))
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            elif kind == 4:
                path.unlink()
            elif kind == 5:
                path.replace(self.path())
            elif kind == 6:
                path.chmod(self.rng.choice([0o600, 0o644]))
            elif kind == 7:
                shutil.rmtree(path.parent if path.parent != self.pair.tree else path)
            elif kind == 8:
                (self.pair.tree / "d").rename(self.pair.tree / self.rng.choice(["i", "k"]))
            elif kind == 9:
                path.unlink(missing_ok=True)
                path.symlink_to(self.rng.choice(["a", "nowhere", "/etc/hosts"]))
            elif kind == 10:
                (self.pair.tree / self.rng.choice(["empty", "d/empty", "d/g/empty"])).mkdir(parents=True)
            else:
                path.parent.chmod(self.rng.choice([0o700, 0o755]))
        except OSError:
            self.log[-1] += "(refused)"

    async def weather(self) -> None:
        self.pair.weather.forecast += self.rng.choices(WORDS, k=self.rng.randrange(1, 6))

    async def scan(self) -> None:
        await self.pair.scan(force=self.rng.random() < 0.1)

    async def pause(self) -> None:
        await asyncio.sleep(self.rng.choice([0, 0.005, 0.05, 0.2]))

    async def restart_daemon(self) -> None:
        await (self.pair.stop_daemon() if self.rng.random() < 0.5 else self.pair.kill_daemon())
        await self.pair.start_daemon()

    async def restart_server(self) -> None:
        await self.pair.stop_server()
        await self.pause()
        await self.pair.start_server()

    async def lose_memory(self) -> None:
        """The database is gone, and files change and vanish before there is a new one."""
        await (self.pair.stop_daemon() if self.rng.random() < 0.5 else self.pair.kill_daemon())
        shutil.rmtree(self.pair.state)
        self.pair.state.mkdir()
        for _ in range(self.rng.randrange(4)):
            await self.change()
        await self.pair.start_daemon()

    async def keep_memory(self) -> None:
        """Copy the database, to be put back at some later time."""
        await self.pair.stop_daemon()
        self.copy = (self.pair.state / "assist.db").read_bytes()
        await self.pair.start_daemon()

    async def put_memory_back(self) -> None:
        """The database is an older one again."""
        if self.copy is None:
            return
        await (self.pair.stop_daemon() if self.rng.random() < 0.5 else self.pair.kill_daemon())
        for file in self.pair.state.glob("assist.db*"):
            file.unlink()
        (self.pair.state / "assist.db").write_bytes(self.copy)
        for _ in range(self.rng.randrange(4)):
            await self.change()
        await self.pair.start_daemon()

    async def ruin_memory(self) -> None:
        """Something else stands where the database was."""
        await (self.pair.stop_daemon() if self.rng.random() < 0.5 else self.pair.kill_daemon())
        database = self.pair.state / "assist.db"
        content = database.read_bytes()
        cut = self.rng.choice([0, len(content) // 2, len(content)])
        database.write_bytes(self.rng.randbytes(4096) + content[4096:cut])
        for _ in range(self.rng.randrange(4)):
            await self.change()
        await self.pair.start_daemon()

    async def move_root_away(self) -> None:
        away = self.pair.folder / "away"
        self.pair.tree.rename(away)
        await self.pair.scan()
        await self.pause()
        away.rename(self.pair.tree)


async def walk(seed: int, folder: Path) -> Walk:
    """Walk one seed to its end; raises where something does not agree."""
    uploader.BATCH_FILES = 2 if seed % 2 else BATCH_FILES  # every other one with as many batches as there can be
    async with running_pair(folder) as pair:
        walking = Walk(pair, seed)
        try:
            async with asyncio.timeout(120):
                await walking.go()
        except BaseException:
            print(f"seed {seed} failed after: {' '.join(walking.log)}", file=sys.stderr)
            raise
        return walking


def main() -> int:
    """Walk for as long as asked; 1 if a seed failed."""
    from pp_assist import supervisor
    from pp_assist.core import backoff

    backoff.FIRST_DELAY_S = supervisor.FIRST_PAUSE_S = 0.02
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    logging.disable()  # the weather is meant to be bad
    began, seed, failed = time.monotonic(), args.seed, []
    while True:
        with tempfile.TemporaryDirectory() as folder:
            try:
                asyncio.run(walk(seed, Path(folder)))
            except Exception as error:
                print(f"seed {seed}: {error!r}"[:2000], file=sys.stderr)
                failed.append(seed)
        seed += 1
        if time.monotonic() - began >= args.seconds:
            break
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "walks": seed - args.seed,
        "steps": STEPS * (seed - args.seed),
        "first_seed": args.seed,
        "failed": failed,
    }
    print(json.dumps(result))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
