"""An API that is told of files: checks signatures, keeps what it was told, and can be down or answer badly.

As a process, PORT FILE: adds each call that it takes to FILE, durably, before it answers. It may be killed.
"""

import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pp_assist.sftp.signing import NotGenuine, verify

SECRET = "s3cret"


@dataclass
class Api:
    """`answers`: statuses for the next calls, then 200; 0: take it and break the connection."""

    answers: list[int] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    """Every genuine call, as it came."""
    taken: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id: what a receiver that keeps ids has seen."""
    forged: int = 0
    port: int = 0
    server: ThreadingHTTPServer | None = None
    file: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/process"

    def start(self) -> "Api":
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = told.answers.pop(0) if told.answers else 200
                try:
                    message_id = verify(dict(self.headers), body, SECRET, time.time())
                except NotGenuine:
                    told.forged += 1
                    self.send_error(401)
                    return
                told.calls.append(json.loads(body))
                if answer in (0, 200):
                    told.taken[message_id] = json.loads(body)
                if told.file is not None:
                    with open(told.file, "ab") as kept:
                        kept.write(json.dumps([message_id, json.loads(body)]).encode() + b"\n")
                        kept.flush()
                        os.fsync(kept.fileno())
                if answer == 0:
                    self.close_connection = True
                    return
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def filenames(self) -> list[str]:
        """What a receiver that keeps ids was told of."""
        return sorted(file["filename"] for each in self.taken.values() for file in each["files"])


if __name__ == "__main__":
    Api(port=int(sys.argv[1]), file=sys.argv[2]).start()
    threading.Event().wait()
