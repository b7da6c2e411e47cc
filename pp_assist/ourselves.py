"""How this very program is started again: as a module of our Python, or as the one file it came in."""

import os
import sys
import zipfile


def command(program: str = "pp_assist") -> list[str]:
    """Return what runs *program*; of the one file `pp_assist.pyz`, that file."""
    started = sys.argv[0]
    if program == "pp_assist" and started.endswith(".pyz") and zipfile.is_zipfile(started):
        return [sys.executable, os.path.abspath(started)]
    return [sys.executable, "-m", program]
