"""A client and a server of IndexedCP as processes, killed at random while they work."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

KEY = "secret-key"

SERVER = """
import sys, uvicorn
from pp_server.indexedcp import IndexedCPServer
port, folder, log = int(sys.argv[1]), sys.argv[2], open(sys.argv[3], "a", buffering=1)
app = IndexedCPServer(folder, port, ["secret-key"], "sanitize", "ERROR").create_app()
async def counting(scope, receive, send):
    if scope["type"] == "http" and scope["method"] == "POST":
        log.write(dict(scope["headers"])[b"x-chunk-index"].decode() + chr(10))
    await app(scope, receive, send)
uvicorn.run(counting, host="127.0.0.1", port=port, log_level="error")
"""

CLIENT = """
import asyncio, sys
from pp_assist.indexedcp import IndexedCPClient
async def main():
    client = IndexedCPClient(sys.argv[1], "secret-key", sys.argv[2], initial_retry_delay=0.02, max_retry_delay=0.05,
                             log_level="ERROR")
    async with client:
        await client.start_upload_background(check_interval=0.05)
        while await client.buffered_files():
            await asyncio.sleep(0.05)
asyncio.run(main())
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Pair:
    """Both programs in a folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.buffer = home / "client.db"
        self.uploads = home / "uploads"
        self.posts = home / "posts.log"
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, who: str) -> None:
        arguments = {
            "server": [SERVER, str(self.port), str(self.uploads), str(self.posts)],
            "client": [CLIENT, f"http://127.0.0.1:{self.port}", str(self.buffer)],
        }[who]
        self.running[who] = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", *arguments],
            cwd=self.home,
            env={**os.environ, "HOME": str(self.home), "PYTHONPATH": str(Path(__file__).parents[2])},
        )

    def kill(self, who: str) -> None:
        process = self.running.pop(who)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for who in list(self.running):
            self.kill(who)

    def posted(self) -> int:
        return len(self.posts.read_text().splitlines()) if self.posts.exists() else 0

    def kill_while_it_works(self, chunks: int, kills: int, seed: int, timeout_s: float = 600) -> int:
        """Kill one or the other *kills* times, spread over the upload; wait for its end; return how many kills."""
        chance, end, done = random.Random(seed), time.monotonic() + timeout_s, 0
        for who in ("server", "client"):
            self.start(who)
        while self.running["client"].poll() is None:
            assert time.monotonic() < end, f"not done: {self.posted()} of {chunks} chunks posted"
            if done < kills and self.posted() >= (done + 1) * chunks / (kills + 2):
                time.sleep(chance.uniform(0, 0.03))
                with contextlib.suppress(KeyError):
                    who = chance.choice(["server", "client"])
                    self.kill(who)
                    done += 1
                    self.start(who)
            time.sleep(0.002)
        assert self.running["client"].returncode == 0
        return done
