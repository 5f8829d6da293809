"""A survey of a data set: what is measured of each picture before anything is trained."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.collected import load_collected
from core.dataset import ELPV, Data, Sample, labelled_samples, names, place_of, training_samples
from core.errors import DataError, PartNotFoundError
from core.geometry import Roi
from core.picture import as_bgr_u8, crop, pixel_digest, read_as_stored
from core.pose import Outline, outline
from core.progress import counted
from training.looking.bursts import look_of


@dataclass(frozen=True)
class Picture:
    """What one picture is like."""

    path: Path
    size: tuple[int, int]
    """Width, height in pixels."""
    brightness: float
    """Mean level, 0 to 255, as train-model reads it."""
    maximum_u16: int | None
    """Largest value of a 16-bit file; None: 8 bits."""
    outline: Outline | None
    """None where no part was found."""
    look: NDArray[np.float32] = field(compare=False, repr=False)
    """See `look_of`."""
    digest: str
    """Of its pixels as they are stored: equal where two pictures are the same to the last bit."""
    is_cut: bool = False
    """See Sample."""


@dataclass(frozen=True)
class Survey:
    """The pictures that can be read, the good ones in name order and those for the test, and the files that cannot."""

    data: str
    """Its names."""
    good: tuple[Picture, ...]
    unreadable: tuple[str, ...]
    """What is wrong with each file that cannot be read, its path first."""
    test: tuple[Sample, ...]
    duplicates: tuple[tuple[Path, ...], ...]
    """Groups of the good pictures that are the same."""
    trained_and_tested: tuple[tuple[Path, Path], ...]
    """A good picture, and the test picture that is the same."""
    roi: Roi | None = None
    """The region that was looked at; None: all."""
    bits: int = 16
    """Of a grey level in files that keep 16, as they were read."""
    may_show_a_part_again: bool = False
    """Whoever collected the pictures says so."""


def survey(data: Data, roi: Roi | None = None, bits: int = 16) -> Survey:
    """Read every picture of a data set, named as in `training_samples`, or that region of it.

    `bits` as in `core.picture`. Raises DataError where none can be read.
    """
    good, unreadable = [], []
    again = any(load_collected(place_of(one)).may_show_a_part_again for one in names(data) if not one.startswith(ELPV))
    for sample in counted(training_samples(data), "looking at pictures"):
        try:
            good.append(_look(sample, roi, bits))
        except DataError as error:
            unreadable.append(str(error))
    if not good:
        raise DataError(
            f"{', '.join(names(data))}: none of {len(unreadable)} pictures can be read; the first: {unreadable[0]}"
        )
    same: dict[str, list[Path]] = {}
    for picture in good:
        same.setdefault(picture.digest, []).append(picture.path)
    tested = [one for one in names(data) if one.startswith(ELPV) or (place_of(one) / "test").is_dir()]
    test, both = [], []
    for sample in counted(labelled_samples(tested), "looking at test pictures"):
        try:
            digest = pixel_digest(read_as_stored(sample.path))
        except DataError as error:
            unreadable.append(str(error))
        else:
            test.append(sample)
            both += [(path, sample.path) for path in same.get(digest, [])]
    groups = tuple(tuple(paths) for paths in same.values() if len(paths) > 1)
    told = ", ".join(names(data))
    return Survey(told, tuple(good), tuple(unreadable), tuple(test), groups, tuple(both), roi, bits, again)


def _look(sample: Sample, roi: Roi | None, bits: int) -> Picture:
    stored = read_as_stored(sample.path)
    try:
        frame = crop(as_bgr_u8(stored, bits), None if sample.is_cut else roi)
    except DataError as error:
        raise DataError(f"{sample.path}: {error}") from error
    try:
        found = outline(frame)
    except PartNotFoundError:
        found = None
    return Picture(
        path=sample.path,
        size=(frame.shape[1], frame.shape[0]),
        brightness=float(frame.mean()),
        maximum_u16=int(stored.max()) if stored.dtype == np.uint16 else None,
        outline=found,
        look=look_of(frame),
        digest=pixel_digest(stored),
        is_cut=sample.is_cut,
    )
