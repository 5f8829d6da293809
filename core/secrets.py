"""Secrets: they stand in an environment variable or a file, never in a configuration."""

import logging
import os
from pathlib import Path

from core.errors import ConfigError
from core.files import read_now

log = logging.getLogger(__name__)


def look_up_secret(key: str, variable: str | None, file: Path | None) -> str | None:
    """Look up what `<key>_env` or `<key>_file` point at. Raises ConfigError where it is not there, or empty."""
    if variable is not None:
        if variable not in os.environ:
            raise ConfigError(f"{key}_env: the environment variable {variable} is not set.")
        secret, where = os.environ[variable], variable
    elif file is not None:
        try:
            # Editors on Windows put a byte order mark before it.
            secret = read_now(file).decode("utf-8-sig").replace("\r", "\n").split("\n")[0]
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
            raise ConfigError(f"{key}_file: {file} cannot be read ({reason}); check it.") from error
        where = f"the first line of {file}"
    else:
        return None
    if not secret:
        raise ConfigError(
            f"{key}_{'env' if variable is not None else 'file'}: {where} is empty; write the secret there."
        )
    if secret != secret.strip():
        log.warning("%s: %s begins or ends with a space or a new line, which counts as part of it", key, where)
    return secret
