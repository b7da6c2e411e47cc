"""The variables that `SftpService` reads: the environment, then `./.env`. Nothing is written to the environment."""

import os

from dotenv import dotenv_values

NAMES = ("SOURCE_FILES", "IN_Progress_Path", "PROFILE_CODE", "DOC_AI_API_URL", "LOG_LEVEL", "SFTP_KNOWN_HOSTS")


def variable(name: str, dotenv_file: str = ".env") -> str | None:
    """Return one of them; None where it is not set, or empty."""
    assert name in NAMES
    if value := os.environ.get(name):
        return value
    try:
        return dotenv_values(dotenv_file, interpolate=False).get(name) or None
    except (OSError, UnicodeDecodeError):
        return None
