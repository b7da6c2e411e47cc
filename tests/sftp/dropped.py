"""A drop folder, a daemon and a server, as real processes."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.e2e.harness import World, eventually, world
from tests.sftp.sftp_servers import SftpServer

QUICK = {"PP_ASSIST_SCANNER__QUIET_SECONDS": "0.2"}
LOOKS = {"interval_seconds": 0.3, "rest_seconds": 0.2}


class Dropped:
    """They, with `server` the SFTP server."""

    def __init__(self, made: World, server: SftpServer) -> None:
        self.world = made
        self.server = server
        self.inbox = server.root / "in"
        self.inbox.mkdir(exist_ok=True)
        login = server.config
        path = f"{server.path}/in" if server.path else "/in"
        self.url = f"sftp://{login['sftp_user']}@127.0.0.1:{server.port}{path}"
        self.options: dict[str, Any] = {"host_key": server.fingerprint, **LOOKS}
        if "sftp_key" in login:
            self.options["key_file"] = login["sftp_key"]
        else:
            self.options["password"] = login["sftp_pass"]

    def begin(self, **more: Any) -> Any:
        """Start both programs and have the folder watched; return what is shown of it."""
        self.world.server.start()
        self.world.daemon.start()
        self.world.daemon.use(self.world.server)
        return self.add(**more)

    def add(self, **more: Any) -> Any:
        body = {"path": self.url, "sftp": self.options | more}
        return self.world.daemon.ask("POST", "/paths", body)

    def shown(self) -> Any:
        [path] = self.world.daemon.ask("GET", "/paths")["paths"]
        return path.get("sftp")

    def stored(self) -> dict[str, str]:
        """Name → digest of what the server has of the folder."""
        prefix = f"{self.url}/".encode()
        return {
            path.removeprefix(prefix).decode(): version.sha256
            for path, version in self.world.server.listing().items()
            if path.startswith(prefix)
        }

    def drop(self, name: str, data: bytes) -> str:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.parent / f".{path.name}.part"
        draft.write_bytes(data)
        draft.rename(path)
        return hashlib.sha256(data).hexdigest()

    def until_stored(self, expected: dict[str, str], timeout_s: float = 30.0) -> None:
        eventually(lambda: self.stored() == expected, timeout_s, f"stored: {expected}")

    def until(self, condition: Callable[[Any], bool], timeout_s: float = 30.0) -> Any:
        """Wait until what is shown of the folder fulfils a condition."""

        def met() -> Any:
            with contextlib.suppress(OSError):
                shown = self.shown()
                return shown if shown is not None and condition(shown) else None
            return None

        return eventually(met, timeout_s)

    def explain(self, name: str) -> Any:
        return self.world.daemon.ask("GET", f"/explain?path={self.url}/{name}")


@contextlib.contextmanager
def dropped(server: SftpServer, **environment: str) -> Iterator[Dropped]:
    with world(None, **QUICK, **environment) as made:
        yield Dropped(made, server)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def wait(seconds: float) -> None:
    time.sleep(seconds)
