"""`pp_assist indexedcp`: the buffer, uploads from it, and a server that stands alone. No daemon is needed."""

import argparse
import os
import secrets
import sys
from typing import Any

from pp_assist.cli_asking import FAILED, NOT_REACHABLE, OK, PENDING, REFUSED, USAGE, CommandError, printable, show
from pp_assist.posix import fastest_loop

BAR_WIDTH = 30


def add_commands(commands: Any, command: Any) -> None:
    """Add them to the parser."""
    text = "buffer files offline, upload them in chunks, or receive them (see docs/indexedcp.md)"
    group = commands.add_parser("indexedcp", help=text, description=text)
    actions = group.add_subparsers(required=True, metavar="ACTION")
    base = argparse.ArgumentParser(add_help=False)
    base.add_argument("--buffer", metavar="FILE", help="the buffer (default: ~/.indexcp/db/client.db)")
    base.add_argument("--json", action="store_true", help="print the answer as JSON")
    add = command("add", _add, "add files to the buffer", actions, base)
    add.add_argument("files", nargs="+", metavar="FILE")
    add.add_argument("--chunk-size", type=int, default=1 << 20, metavar="BYTES", help="default: 1048576")
    for name in ("ls", "list"):
        ls = command(name, _ls, "what is in the buffer", actions, base)
        ls.add_argument("-v", "--verbose", action="store_true", help="each chunk and where it stands")
    upload = command("upload", _upload, "upload the buffer; exit 5 while something is left", actions, base)
    upload.add_argument("words", nargs="*", metavar="URL|FILE", help="the server, and files: then only these")
    upload.add_argument("--server", metavar="URL", help="the server")
    upload.add_argument("--api-key", metavar="KEY", help="or INDEXEDCP_API_KEY")
    upload.add_argument("--parallel", type=int, default=1, metavar="N", help="chunks at a time (default: 1)")
    server = command("server", _server, "receive files into a folder", actions, argparse.ArgumentParser(add_help=False))
    server.add_argument("port", nargs="?", type=int, default=3000)
    server.add_argument("dir", nargs="?", default="./uploads")
    server.add_argument("--address", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    server.add_argument("--api-key", metavar="KEY", help="or INDEXEDCP_API_KEY; else one is made and shown")
    server.add_argument("--path-mode", choices=["ignore", "sanitize", "allow-paths"], default="sanitize")
    server.add_argument("--tracking-db", metavar="FILE", help="records (default: DIR/.indexcp_chunks.db)")


def _client(args: argparse.Namespace, **options: Any) -> Any:
    from pp_assist.indexedcp import IndexedCPClient

    return IndexedCPClient(storage_path=args.buffer, log_level="ERROR", **options)


def _run(work: Any) -> Any:
    """Run it; what goes wrong with files is said without a traceback."""
    import asyncio  # as long as all other imports of a command together

    try:
        with asyncio.Runner(loop_factory=fastest_loop()) as runner:
            return runner.run(work)
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error


def _add(args: argparse.Namespace) -> int:
    added: list[dict[str, Any]] = []

    async def add() -> None:
        async with _client(args, chunk_size=args.chunk_size) as client:
            for path in args.files:
                chunks = await client.add_file(path)
                added.append({"file": path, "chunks": chunks})
                if not args.json:
                    print(f"Added {printable(path)}: {chunks} chunk(s)")

    _run(add())
    show(args, {"added": added}, list)
    return OK


def _ls(args: argparse.Namespace) -> int:
    async def ls() -> Any:
        async with _client(args) as client:
            return await client.storage.run(_items if args.json else _lines, client.storage, args.verbose)

    found = _run(ls())
    show(args, found, lambda: found)
    return OK


def _items(storage: Any, verbose: bool) -> dict[str, Any]:
    files = sorted(storage.files(), key=lambda file: file.name)
    return {"files": [_item(storage, file, verbose) for file in files], "total": len(files)}


def _item(storage: Any, file: Any, verbose: bool) -> dict[str, Any]:
    item = {"name": file.name, "chunks": file.chunks, "size_bytes": file.size_bytes, "status": file.status}
    if verbose:
        item["pending_chunks"] = [
            {"index": record["chunkIndex"], "status": record.get("status", "pending")}
            for record in storage.records(file.name)
        ]
    return item


def _lines(storage: Any, verbose: bool) -> list[str]:
    files = sorted(storage.files(), key=lambda file: file.name)
    if not files:
        return ["No files in buffer"]
    lines = [f"Total files: {len(files)}", ""]
    for file in files:
        lines.append(f"{printable(file.name)}: {file.chunks} chunk(s), {_kb(file.size_bytes)}, {file.status}")
        if verbose:
            lines += [_chunk_line(*each) for each in storage.sized_records(file.name)]
    return lines


def _chunk_line(record: Any, size_bytes: int) -> str:
    retry, status = record.get("retryMetadata", {}), record.get("status", "pending")
    if "source" in record:
        size_bytes = min(record["chunkSize"], record["fileSize"] - record["chunkIndex"] * record["chunkSize"])
    line = f"  Chunk {record['chunkIndex']}: {_kb(size_bytes)}, {status}"
    if retry.get("retryCount"):
        line += f", failed {retry['retryCount']} times: {printable(retry['errors'][-1]['message'])}"
    return line


def _kb(size_bytes: int) -> str:
    return f"{size_bytes / 1024:.2f} KB"


def _upload(args: argparse.Namespace) -> int:
    url, files = args.server, list(args.words)
    if url is None and files and "://" in files[0]:
        url = files.pop(0)
    if url is None:
        raise CommandError("upload needs the server: a URL, or --server URL", USAGE)
    return int(_run(_upload_all(args, url, files)))


async def _upload_all(args: argparse.Namespace, url: str, files: list[str]) -> int:
    from pp_assist.indexedcp.errors import UploadsFailed

    bar = Bar()
    async with _client(
        args, api_key=args.api_key, parallel_chunks=args.parallel, on_upload_progress=bar.step
    ) as client:
        waiting = [file for file in await client.buffered_files() if not files or file.name in files]
        missing = sorted(set(files) - {file.name for file in waiting})
        if missing:
            raise CommandError(f"not in the buffer: {', '.join(map(printable, missing))}")
        if not waiting:
            show(args, {"uploaded": {}, "problem": None}, lambda: ["No files in buffer"])
            return OK
        bar.total = sum(file.pending for file in waiting)
        try:
            results, code, problem = await client.upload_files([file.name for file in waiting], url), OK, None
        except UploadsFailed as error:
            results, code, problem = error.results, PENDING, str(error)
            bar.end()
            print(f"pp_assist: {printable(str(error))}", file=sys.stderr)
            if not results:
                code = _kind(bar.error)
        bar.end()
    show(
        args,
        {"uploaded": results, "problem": problem},
        lambda: [f"Uploaded {printable(name)} as {printable(stored)}" for name, stored in results.items()],
    )
    return code


def _kind(error: str) -> int:
    """Return the exit code for what stopped the last file."""
    if error.startswith("HTTP 401"):
        return REFUSED
    return NOT_REACHABLE if error.startswith("Connect") else PENDING


class Bar:
    """A progress bar on a terminal; elsewhere nothing."""

    def __init__(self) -> None:
        self.total = 0
        self.error = ""
        self._done = 0
        self._is_shown = sys.stderr.isatty()

    def step(self, event: dict[str, Any]) -> None:
        """Show one chunk more."""
        if event["status"] != "success":
            self.error = event["error"]
            return
        self._done += 1
        if self._is_shown and self.total:
            filled = BAR_WIDTH * min(self._done, self.total) // self.total
            sys.stderr.write(f"\r[{'#' * filled:<{BAR_WIDTH}}] {self._done}/{self.total} chunks")
            sys.stderr.flush()

    def end(self) -> None:
        """Leave the line."""
        if self._is_shown and self._done:
            sys.stderr.write("\n")
            self._is_shown = False


def _server(args: argparse.Namespace) -> int:
    import uvicorn

    from pp_server.indexedcp import IndexedCPServer

    key = args.api_key or os.environ.get("INDEXEDCP_API_KEY") or os.environ.get("INDEXCP_API_KEY")
    made = key or secrets.token_hex(32)
    server = IndexedCPServer(args.dir, args.port, [made], args.path_mode, tracking_db=args.tracking_db)
    config = uvicorn.Config(server.create_app(), host=args.address, port=args.port, log_config=None, ws="none")
    running = _announcing()(config)
    running.text = f"into {server.upload_dir} ({server.path_mode})" + ("" if key else f", API key {made}")
    running.run()
    return OK if running.started else FAILED


def _announcing() -> Any:
    import uvicorn

    class Announcing(uvicorn.Server):
        """Says where it listens."""

        text = ""

        async def startup(self, sockets: Any = None) -> None:
            """Listen, and say so."""
            await super().startup(sockets)
            if self.started:
                host, port = self.servers[0].sockets[0].getsockname()[:2]
                print(f"IndexedCP server ready on http://{host}:{port}, {self.text}", flush=True)

    return Announcing
