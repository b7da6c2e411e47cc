"""The system's limits for watching, lowered in a user namespace of our own: `under_limits.py` runs in there."""

import subprocess
import sys
from pathlib import Path

import pytest


def can_unshare() -> bool:
    if sys.platform != "linux":
        return False
    try:
        return subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_unshare(), reason="no user namespaces")
def test_under_limits() -> None:
    tests = Path(__file__).with_name("under_limits.py")
    command = ["unshare", "-Ur", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout
