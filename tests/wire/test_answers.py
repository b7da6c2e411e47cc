"""What a server may answer, before anything of it is believed: of bounded size, and as it is."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pp_assist import http
from pp_assist.core.errors import ServerNonsense
from pp_assist.http import Answer, BlockingHttp, Http


@contextmanager
def answering(body: bytes, **headers: str) -> Iterator[str]:
    """A server that says the same to everybody; where."""

    class Says(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.headers["Accept-Encoding"] == "identity"
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Says) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def asked(url: str) -> Answer:
    connections = Http(url, "key", 5.0, 1)
    try:
        return await connections.request("GET", "/")
    finally:
        await connections.close()


def asked_blocking(url: str) -> Answer:
    connections = BlockingHttp(5.0)
    try:
        return connections.request("GET", url, {})
    finally:
        connections.close()


async def test_an_answer_that_is_compressed_is_nonsense_and_not_unpacked() -> None:
    """A few kilobytes stand for as many gigabytes as somebody likes, and nobody asked for them."""
    for encoding, bomb in (("gzip", gzip.compress(b"{}" + bytes(1 << 20))), ("zstd", b"x"), ("br", b"x")):
        with answering(bomb, Content_Encoding=encoding) as url:
            with pytest.raises(ServerNonsense, match=encoding):
                await asked(url)
            with pytest.raises(ServerNonsense, match=encoding):
                asked_blocking(url)


async def test_an_answer_may_be_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1000)
    for length in (1000, 1001):
        with answering(bytes(length), Content_Encoding="identity") as url:
            if length == 1000:
                assert (await asked(url)).body == asked_blocking(url).body == bytes(1000)
                continue
            with pytest.raises(ServerNonsense, match="larger"):
                await asked(url)
            with pytest.raises(ServerNonsense, match="larger"):
                asked_blocking(url)
