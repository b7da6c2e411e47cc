"""Running Hypothesis where it draws the same examples from the same seed: they also depend on how Python hashes, and on
what is imported."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def alone(code: str) -> subprocess.CompletedProcess[str]:
    """Run *code* in a process of its own, which finds the modules that lie here."""
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "0", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
