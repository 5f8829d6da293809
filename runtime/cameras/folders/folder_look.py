"""A look at a folder: which pictures lie below it. Folders in which nothing came or went are not listed again."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.files import lies_in
from core.pictures.picture import list_folder
from runtime.cameras.files import reached_by_links
from runtime.cameras.folders.folder_bell import FolderBell

COARSE_S = 2.0
"""Some file systems tell the time of a change to 2 s: a folder is listed once more when it has passed."""


@dataclass
class _Listing:
    stamp: tuple[int, int, int]
    """Device, inode, and when something came or went last."""
    listed_s: float
    entries: list[tuple[Path, bool]]
    odd: list[Path]
    is_kept: bool
    is_final: bool = False


class FolderLook:
    """What lies below a folder, by its last look. Belongs to one thread."""

    def __init__(self, path: Path, kept: Sequence[Path] = ()) -> None:
        """Look at `path`, which is there, but into none of the folders `kept`."""
        self.pictures: list[Path] = []
        """In name order."""
        self.problem = ""
        """Why nothing can be seen there; empty where all is well."""
        self.closed: tuple[Path, str] | None = None
        """A folder below it that cannot be looked into, and why; what lies there is seen by nobody."""
        self.begun_s: float | None = None
        """When the look that is under way was begun; None between two looks. For any thread."""
        self.bell: FolderBell | None = None
        """Is to ring for every folder that is found."""
        self._path = path
        self._own = reached_by_links(path, kept)
        self._mount = mount_of(path)
        self._listings: dict[Path, _Listing] = {}

    def again(self, now_s: float) -> bool:
        """Look again; whether there may be other pictures than before. Where nothing can be seen, all stays."""
        found: dict[Path, _Listing] = {}
        pictures: list[Path] = []
        self.begun_s, self.closed = now_s, None
        try:
            require_mounted(self._mount)
            has_changed = self._walk(self._path, frozenset(), now_s, found, pictures)
        except OSError as error:
            self.problem = f"{self._path}: {error.strerror or error}"
            return False
        finally:
            self.begun_s = None
        self.problem = ""
        has_changed |= len(found) != len(self._listings)
        self._listings = found
        if has_changed:
            self.pictures = pictures
        return has_changed

    @property
    def odd(self) -> Path | None:
        """One that is called like a picture, and is neither file nor folder."""
        return next((path for listing in self._listings.values() for path in listing.odd), None)

    @property
    def kept(self) -> Path | None:
        """A folder that is not looked into, since it is one of those that are kept."""
        return next((folder for folder, listing in self._listings.items() if listing.is_kept), None)

    def _walk(
        self,
        folder: Path,
        above: frozenset[tuple[int, int]],
        now_s: float,
        found: dict[Path, _Listing],
        pictures: list[Path],
    ) -> bool:
        """Gather the pictures below `folder`; whether anything was listed again. Raises OSError."""
        stat = folder.stat()
        stamp = (stat.st_dev, stat.st_ino, stat.st_mtime_ns)
        if stamp[:2] in above:
            return False
        known = self._listings.get(folder)
        is_new = known is None or known.stamp != stamp
        if known is None or is_new or (not known.is_final and now_s - known.listed_s >= COARSE_S):
            is_kept = any(lies_in(folder, own) for own in self._own)
            if self.bell is not None and not is_kept:
                self.bell.hear(folder)
            odd: list[Path] = []
            entries = [] if is_kept else list_folder(folder, odd)
            has_changed = known is None or known.entries != entries
            known = _Listing(stamp, now_s, entries, odd, is_kept, is_final=not is_new)
        else:
            has_changed = False
        found[folder] = known
        for path, is_folder in known.entries:
            if not is_folder:
                pictures.append(path)
                continue
            try:
                has_changed |= self._walk(path, above | {stamp[:2]}, now_s, found, pictures)
            except (FileNotFoundError, NotADirectoryError):  # it went meanwhile
                has_changed = True
            except OSError as error:
                self.closed = path, error.strerror or str(error)
        return has_changed


def require_mounted(mount: Path | None) -> None:
    """Raises OSError where `mount` was a mount point and is none any more."""
    if mount is not None and not os.path.ismount(mount):
        raise OSError(0, f"{mount} is not mounted any more")


def mount_of(path: Path) -> Path | None:
    """The mount point that `path` lies on; None for the root's file system."""
    for folder in (path.resolve(), *path.resolve().parents):
        if os.path.ismount(folder):
            return None if folder == Path(folder.root) else folder
    return None
