"""The shelf: the bundles on a station's box, and the link that says which one its inspection opens."""

import json
import re
import shutil
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import ConfigError
from core.files import alone, write_whole
from runtime.bundles.bundle import load_bundle, read_manifest
from runtime.bundles.manifest import Manifest

STATE = ".fleet.json"
PREFIX = "fleet-"
OF_PACKAGE = re.compile(rf"{PREFIX}(?P<sha256>[0-9a-f]{{64}})")
"""Folders that came by the fleet: no other is ever removed."""
REMAINS = re.compile(rf"{OF_PACKAGE.pattern}\.zip(\.part)?|\.{PREFIX}[0-9a-f]{{64}}\..+")
"""What a package is fetched into, and the folder in which it is unpacked; nor is anything beside these."""


@dataclass(frozen=True)
class _State:
    serial: int
    """Of the newest order that was believed."""
    installed: str
    """The folder that lay there before the first order."""


class Shelf:
    """Belongs to the agent's main thread."""

    def __init__(self, link: Path) -> None:
        """`link` is the `bundle` of the inspection. Raises ConfigError where it is no link, or what it says is lost."""
        if not link.is_symlink() or not link.is_dir():
            raise ConfigError(
                f"bundle: {link} has to be a link to a bundle's folder next to it, so that another can take its place: "
                f"mv {link.name} {link.name}-1 && ln -s {link.name}-1 {link.name}"
            )
        if link.resolve().parent != link.parent.resolve():
            raise ConfigError(f"bundle: {link} leads to {link.resolve()}; bundles of a fleet lie next to the link.")
        self._link = link
        self._file = link.parent / STATE
        self._state = self._read()

    @property
    def folder(self) -> Path:
        """Where the link and its bundles lie."""
        return self._link.parent

    def held(self) -> AbstractContextManager[None]:
        """Hold the folder against other agents. Raises ConfigError, on its way in, where one holds it."""
        return alone(self.folder)

    @property
    def serial(self) -> int:
        """Of the newest order that was believed; 0: none was."""
        return self._state.serial

    @property
    def current(self) -> Path:
        """The bundle in force."""
        return self._link.resolve()

    @property
    def manifest(self) -> Manifest:
        """What the bundle in force says of itself. Raises ArtifactError where it is damaged."""
        return read_manifest(self.current)

    def require_whole(self, folder: Path) -> None:
        """Raises ArtifactError where a file of a bundle is not as its manifest says."""
        load_bundle(folder)

    @property
    def sha256(self) -> str | None:
        """Of the package in force; None where it is the bundle from before the fleet."""
        found = OF_PACKAGE.fullmatch(self.current.name)
        return found["sha256"] if found else None

    def place_of(self, sha256: str | None) -> Path:
        """Give the folder of a package, or of the bundle from before the fleet, whether it is there or not."""
        return self.folder / (self._state.installed if sha256 is None else PREFIX + sha256)

    def believe(self, serial: int) -> None:
        """Remember that an order was believed, so that no older one is. Raises OSError."""
        self._state = _State(serial, self._state.installed)
        write_whole(self._file, json.dumps(asdict(self._state)).encode(), is_flushed=True)

    def switch(self, folder: Path) -> None:
        """Let the link lead to `folder` from now on, in one step; remove bundles that are two changes old."""
        before = self.current
        new = self._link.with_name(f".{self._link.name}.new")
        new.unlink(missing_ok=True)
        new.symlink_to(folder.name)
        new.replace(self._link)
        for old in self.folder.glob(f"{PREFIX}*"):
            if OF_PACKAGE.fullmatch(old.name) and old.is_dir() and old.resolve() not in (before, self.current):
                shutil.rmtree(old, ignore_errors=True)

    def remove_remains(self, but: Path) -> None:
        """Remove what came of packages before: all but what was fetched of that of the bundle `but`, which goes on.

        An agent that was killed leaves whole ones too, and half of what it unpacked.
        """
        for found in [each for each in self.folder.iterdir() if REMAINS.fullmatch(each.name)]:
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found, ignore_errors=True)
            elif found.name != f"{but.name}.zip.part":
                found.unlink(missing_ok=True)

    def _read(self) -> _State:
        try:
            return _State(**json.loads(self._file.read_bytes()))
        except FileNotFoundError:
            return _State(0, self.current.name)
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{self._file}: damaged; without it older orders would be obeyed: find out who wrote it, then "
                "remove it."
            ) from error
