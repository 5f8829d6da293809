"""Staging: where a bundle is made, and how it comes to stand where it was asked for, whole or not at all."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os.path import realpath
from pathlib import Path

from core.errors import ConfigError
from core.files import flush, naming
from core.printable import printable
from runtime.bundles.manifest import MANIFEST, SIGNATURE


def place_of(output: Path) -> Path:
    """Say where `output` really lies, or will. Raises ConfigError where it is a link that leads back to itself."""
    place = Path(realpath(output))
    if place.is_symlink():
        raise ConfigError(f"{output}: is a link that leads back to itself; choose another --output.")
    return place


@contextmanager
def work_folder(output: Path) -> Iterator[Path]:
    """Give an empty folder beside `output`, whose content goes away unless `put` moves it. Raises ConfigError."""
    place = place_of(output)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    except OSError as error:
        raise ConfigError(f"{output}: cannot be written there ({error.strerror}); choose another --output.") from error
    try:
        folder.chmod(0o755)  # of the user alone otherwise, and a service is another user
        with naming(output):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def require_replaceable(output: Path) -> None:
    """Refuse what is neither free nor a bundle with nothing else in it, and no name in UTF-8. Raises ConfigError."""
    if printable(place := place_of(output)) != str(place):  # onnx would not find it
        raise ConfigError(f"{output}: is no name in UTF-8; choose another --output.")
    if not output.name:
        raise ConfigError(f"{output}: has no name of its own, and a bundle is a folder that is moved there; name one.")
    if output.is_mount():
        raise ConfigError(f"{output}: a mount point, which cannot be replaced; choose an --output inside it.")
    if not output.exists() or _is_only_a_bundle(output):
        return
    raise ConfigError(f"{output}: exists and is no bundle, or has other files in it; choose another --output.")


def put(folder: Path, output: Path) -> None:
    """Move a folder to `output`; an older bundle there goes only when the new one stands. Raises ConfigError, OSError.

    It is on the disk before: after a power cut a folder may stand in its place, and its files be empty.
    """
    require_replaceable(output)
    flush(folder)
    place = place_of(output)
    if not place.exists():
        folder.rename(place)
        return
    with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as aside:
        older = Path(aside) / "older"
        try:
            place.rename(older)
            folder.rename(place)
        except BaseException:  # a Ctrl-C too: what is aside goes away
            if older.exists() and not place.exists():
                older.rename(place)
            raise


def _is_only_a_bundle(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if not present:
        return not any(folder.iterdir())
    # Of an older version's too, which this one does not load.
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
        is_bundle = str(content["format"]).startswith("p-wae-bundle/")
        named = set(content["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return is_bundle and present <= {MANIFEST, SIGNATURE, *named}
