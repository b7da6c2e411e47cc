"""Two syncthings: one that only sends, one that only receives. Set up over their REST API."""

import contextlib
import http.client
import json
import re
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.bench.contender import another_port, digests
from tests.bench.meter import CommandFailed
from tests.bench.peers import Peer, installed
from tests.bench.slowlink import SlowLink
from tests.bench.workloads import extent
from tests.e2e.harness import eventually

DONE_S = 1800.0
POLL_S = 0.1
MARKER = ".stfolder"
"""It wants to find this in a folder: a disk that is not mounted has none."""

FOLDER = "bench"
QUIET = {
    "globalAnnounceEnabled": False,
    "localAnnounceEnabled": False,
    "relaysEnabled": False,
    "natEnabled": False,
    "urAccepted": -1,
    "crashReportingEnabled": False,
    "autoUpgradeIntervalH": 0,
    "startBrowser": False,
    "reconnectionIntervalS": 1,
    "limitBandwidthInLan": False,
}
"""Nobody is looked for, nobody is told anything."""


class Node:
    """One of the two."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port, self.listens = another_port(), another_port()
        self.pid = 0
        self.id = ""
        self._key = ""

    def read_identity(self) -> None:
        """Take over what `syncthing generate` has made up."""
        text = (self.home / "config.xml").read_text()
        self._key = re.findall(r"<apikey>(.+?)</apikey>", text)[0]
        self.id = re.findall(r'<device id="([A-Z0-9-]+)"', text)[0]

    def ask(self, method: str, path: str, body: Any = None, timeout_s: float = 60.0) -> Any:
        """Ask it something."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/rest/{path}",
            method=method,
            headers={"X-API-Key": self._key, "Content-Type": "application/json"},
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(asked, timeout=timeout_s) as answer:
            said = answer.read()
        return json.loads(said) if said.strip() else None


class Syncthing(Peer):
    """syncthing → syncthing, over its TLS; changes are noticed after a second instead of ten."""

    name = "syncthing"
    needs = ("syncthing",)
    package = "apt-get install syncthing"
    watches = True
    restores = False

    def __init__(self, folder: Path, link: SlowLink | None = None) -> None:
        super().__init__(folder, link)
        self.one, self.two = Node(folder / "one"), Node(folder / "two")
        self._syncing = False

    def open(self, tree: Path) -> None:
        for node in (self.one, self.two):
            generate = ["generate", f"--home={node.home}", "--no-default-folder", "--skip-port-probing"]
            self.spent.run([installed("syncthing"), *generate])
            node.read_identity()
            where = [f"--home={node.home}", f"--gui-address=127.0.0.1:{node.port}", "--no-browser", "--no-upgrade"]
            quiet = {"STNODEFAULTFOLDER": "1", "HOME": str(self.folder)}
            node.pid = self.serve([installed("syncthing"), "serve", *where], node.port, **quiet).pid
            eventually(lambda node=node: _answers(node), 20.0, "syncthing answers")  # type: ignore[misc]
            options = QUIET | {"listenAddresses": [f"tcp://127.0.0.1:{node.listens}"]}
            node.ask("PATCH", "config/options", options)
        self._introduce(self.one, self.two, self.reach(self.two.listens))
        self._introduce(self.two, self.one, None)
        for node, path, kind in ((self.one, tree, "sendonly"), (self.two, self.place, "receiveonly")):
            (path / MARKER).mkdir(exist_ok=True)
            self._share(node, path, kind)
        eventually(lambda: any(_connected(self.one)), 30.0, "the two are connected")

    def _introduce(self, node: Node, other: Node, port: int | None) -> None:
        """Make one known to the other; only who knows a *port* calls."""
        addresses = [f"tcp://127.0.0.1:{port}"] if port else ["tcp://127.0.0.1:1"]
        node.ask("POST", "config/devices", {"deviceID": other.id, "addresses": addresses})

    def _share(self, node: Node, path: Path, kind: str) -> None:
        folder = {
            "id": FOLDER,
            "path": str(path),
            "type": kind,
            "rescanIntervalS": 0,
            "fsWatcherEnabled": node is self.one,
            "fsWatcherDelayS": 1,
            "paused": node is self.one,
            "devices": [{"deviceID": self.one.id}, {"deviceID": self.two.id}],
        }
        node.ask("POST", "config/folders", folder)

    def sync(self, tree: Path) -> None:
        files = extent(tree).files
        if self._syncing:
            self.one.ask("POST", f"db/scan?folder={FOLDER}", timeout_s=DONE_S)  # returns once that has ended
        else:
            self.one.ask("PATCH", f"config/folders/{FOLDER}", {"paused": False})
            self._syncing = True
        end = time.monotonic() + DONE_S
        while not self._same(files):
            if time.monotonic() > end:
                raise CommandFailed(f"syncthing is not done after {DONE_S} s")
            time.sleep(POLL_S)

    def _same(self, files: int) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            ours = self.one.ask("GET", f"db/status?folder={FOLDER}")
            if ours["state"] != "idle" or ours["localFiles"] != files:
                return False
            its = self.one.ask("GET", f"db/completion?folder={FOLDER}&device={self.two.id}")
            if its["needItems"] or its["needDeletes"] or its["completion"] < 100:
                return False
            there = self.two.ask("GET", f"db/status?folder={FOLDER}")
            return there["needTotalItems"] == 0 and there["localFiles"] == files
        return False

    def faults(self, tree: Path) -> list[str]:
        expected, found = digests(tree), digests(self.place)
        return [
            f"different: {name}" for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        ]

    def has(self, path: Path) -> bool:
        tree = Path(self.one.ask("GET", f"config/folders/{FOLDER}")["path"])
        there = self.place / path.relative_to(tree)
        return there.exists() and there.read_bytes() == path.read_bytes()

    def clients(self) -> list[int]:
        return [self.one.pid] if self.one.pid else []

    def servers(self) -> list[int]:
        return [self.two.pid] if self.two.pid else []

    def close(self) -> None:
        super().close()
        self.one.pid = self.two.pid = 0


def _answers(node: Node) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return bool(node.ask("GET", "system/ping"))
    return False


def _connected(node: Node) -> list[str]:
    others = node.ask("GET", "system/connections")["connections"]
    return [device for device, state in others.items() if state["connected"]]
