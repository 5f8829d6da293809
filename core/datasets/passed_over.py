"""Passed over: what lies in a data set in MVTec layout and is not read, though whoever put it there believes it is."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from os.path import realpath
from pathlib import Path

from core.datasets.layout import GOOD
from core.errors import DataError
from core.files import read_now
from core.pictures.picture import HIDDEN, find_pictures, list_folder, may_be_picture

RAW = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".erf", ".iiq", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw"}
    | {".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)
"""As cameras give their pictures before anything is made of them."""
BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF8")
"""Of what is a picture whatever it is called."""


def like_pictures(folder: Path) -> str:
    """Say in a line which files below `folder` are pictures, raw ones or by what is in them, and have no name of such.

    What cannot be looked at is passed over.
    """
    found = [path for path in _files_below(folder, frozenset()) if _is_like_picture(path)]
    return _line("looks like a picture, and is not read; save it as .png, .jpg, .tif, .bmp or .webp", found)


def beside_training(train: Path) -> str:
    """Say in a line which folders beside `train/good` hold pictures, as far as one may look; empty where none does."""
    found = []
    with suppress(OSError):
        for path, is_folder in list_folder(train):
            with suppress(DataError):
                if path.name != GOOD and (not is_folder or any(find_pictures(path))):
                    found.append(path)
    return _line(f"not read, since train/{GOOD} alone trains", found)


def beside_tests(test: Path, kinds: Collection[str]) -> str:
    """Say in a line of which kinds no picture lies in `test`; `kinds` are those of which there are some."""
    empty = [path for path, is_folder in list_folder(test) if is_folder and path.name not in kinds]
    return _line("no pictures to test with", empty)


def without_picture(test: Path, masks: Collection[Path]) -> str:
    """Say in a line which pictures in `ground_truth` are none of the `masks` that belong to a picture in `test`."""
    return _line(
        f"no mask of a picture, as ground_truth/dent/1_mask.png is of {test.name}/dent/1.png",
        [path for path in find_pictures(test.parent / "ground_truth") if path not in masks],
    )


def _files_below(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """Give what is not called like a picture, in the folders in which `find_pictures` looks for them."""
    if (real := realpath(folder)) in above:
        return
    with suppress(OSError):
        yield from sorted(
            path
            for path in folder.iterdir()
            if not may_be_picture(path.name) and not path.name.startswith(HIDDEN) and path.is_file()
        )
        for path, is_folder in list_folder(folder):
            if is_folder:
                yield from _files_below(path, above | {real})


def _is_like_picture(path: Path) -> bool:
    if path.suffix.lower() in RAW:
        return True
    with suppress(OSError):
        return read_now(path, max(map(len, BEGINNINGS))).startswith(BEGINNINGS)
    return False


def _line(what: str, places: Sequence[Path]) -> str:
    if not places:
        return ""
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return f"warning: {places[0]}{more}: {what}.\n"
