"""Secrets: they stand in an environment variable or a file, never in a configuration."""

import os
from pathlib import Path

from core.errors import ConfigError


def look_up_secret(key: str, variable: str | None, file: Path | None) -> str | None:
    """Look up what `<key>_env` or `<key>_file` point at. Raises ConfigError where it is not there."""
    if variable is not None:
        if variable not in os.environ:
            raise ConfigError(f"{key}_env: the environment variable {variable} is not set.")
        return os.environ[variable]
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").split("\n")[0].strip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{key}_file: {file} cannot be read; check it.") from error
    return None
