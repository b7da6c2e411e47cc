"""A client in Node speaks to our server, where there is Node."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from test_client import Serving, home, serving  # noqa: F401 - fixtures

CLIENT = Path(__file__).with_name("node_client.mjs")
NODE = shutil.which("node")

if NODE is not None:  # not a skip: nothing of ours is missing where it is not

    @pytest.mark.parametrize("name", ["data.bin", "né.bin", "./data.bin"])
    def test_a_client_in_node(name: str, tmp_path: Path, serving: Serving) -> None:
        (tmp_path / "f").write_bytes(os.urandom(25_000))
        command = [str(NODE), str(CLIENT), serving.url, "secret-key", "f", name, "10000"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        said = json.loads(done.stdout)
        assert said["status"]["receivedChunks"] == [0, 1, 2] and len(said["names"]) == 1
        assert serving.files() == {said["names"][0]: (tmp_path / "f").read_bytes()}

    def test_what_is_refused_has_an_error_for_node(tmp_path: Path, serving: Serving) -> None:
        (tmp_path / "f").write_bytes(b"x")
        for key, name, error in (
            ("wrong", "f", {"status": 401, "error": "Invalid or missing API key"}),
            ("secret-key", "../f", {"status": 400, "error": "Invalid filename"}),
        ):
            command = [str(NODE), str(CLIENT), serving.url, key, "f", name, "10"]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
            assert json.loads(done.stdout) == error
