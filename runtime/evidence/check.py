"""The doctor's check of the evidence's folder."""

import contextlib
import shutil

from core.errors import ConfigError
from core.files import free_space, no_new_folders
from runtime.evidence.settings import EvidenceSettings


def check_folder(settings: EvidenceSettings) -> str:
    """Write into it, and leave nothing. Raises ConfigError where that fails, or the disk is too full."""
    folder = settings.folder
    probe = folder / ".doctor"
    with no_new_folders(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"x")
        except OSError as error:
            raise ConfigError(
                f"{folder} cannot be written ({error.strerror}); free the disk, check its permissions, or set "
                "`evidence.folder`."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
        if shutil.disk_usage(folder).free < settings.min_free_bytes:
            raise ConfigError(f"{folder}: {free_space(folder)}, less than evidence.min_free_bytes; free the disk.")
        return f"{folder} can be written, {free_space(folder)}"
