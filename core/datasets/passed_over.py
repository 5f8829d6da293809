"""Passed over: what lies in a data set in MVTec layout and is not read, though whoever put it there believes it is."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from core.datasets.layout import GOOD
from core.errors import DataError
from core.pictures.picture import find_pictures, list_folder


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


def _line(what: str, places: Sequence[Path]) -> str:
    if not places:
        return ""
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return f"warning: {places[0]}{more}: {what}.\n"
