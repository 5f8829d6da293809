"""A survey of a data set: what is measured of each picture before anything is trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.datasets.collected import load_collected
from core.datasets.dataset import ELPV, Data, Sample, labelled_samples, names, place_of, training_samples
from core.datasets.layout import named_from_above
from core.errors import DataError, PartNotFoundError
from core.pictures.exposure import is_black, is_overexposed
from core.pictures.geometry import Roi
from core.pictures.picture import Stored, as_bgr_u8, crop, pixel_digest, read_as_stored, usual_bits
from core.pictures.pose import Outline, outline
from core.progress import counted
from training.looking.bursts import are_filmed_again, look_of, number_bursts
from training.looking.grain import copies_among
from training.looking.twins import detail_of, turned_twins_of, twins_of

T = TypeVar("T")


class _Tested(NamedTuple):
    """What is known of a test picture, each as of a `Picture`."""

    sample: Sample
    brightest_u16: int | None
    look: NDArray[np.float32]
    detail: NDArray[np.float16]
    digest: str


@dataclass(frozen=True)
class Picture:
    """What one picture is like."""

    path: Path
    size: tuple[int, int]
    """Width, height in pixels."""
    brightness: float
    """Mean level, 0 to 255, as train-model reads it."""
    brightest_u16: int | None
    """Largest value of a 16-bit file; None: 8 bits."""
    outline: Outline | None
    """None where no part was found."""
    look: NDArray[np.float32] = field(compare=False, repr=False)
    """See `look_of`."""
    detail: NDArray[np.float16] = field(compare=False, repr=False)
    """See `detail_of`."""
    digest: str
    """Of its pixels as they are stored: equal where two pictures are the same to the last bit."""
    is_cut: bool = False
    """See Sample."""
    levels: tuple[int, int] = (0, 255)
    """Of one of 16 bits, as train-model reads it: between which its levels lie, but for a hundredth above and below."""
    is_unlit: bool = False
    """Black or over-exposed nearly all over: a station does not decide about such (see core.pictures.exposure)."""


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
    twins: tuple[tuple[Path, Path], ...]
    """A good picture, and another one that shows it again (see `twins_of`)."""
    trained_and_tested: tuple[tuple[Path, Sample], ...]
    """A good picture, and the test picture that is the same or shows it again, be it turned or mirrored."""
    roi: Roi | None = None
    """The region that was looked at; None: all."""
    bits: int = 16
    """Of a grey level in files that keep 16, as they were read."""
    may_show_a_part_again: bool = False
    """Whoever collected the pictures says so."""

    @cached_property
    def bursts(self) -> dict[Path, int]:
        """Of each good picture that differs its burst; empty where no more neighbours are alike than by chance."""
        different = [*{picture.digest: picture for picture in reversed(self.good)}.values()]  # the first of each
        paths = [picture.path for picture in different]
        found = number_bursts([picture.look for picture in different], paths)
        return dict(zip(paths, found.tolist(), strict=True)) if are_filmed_again(found) else {}


def survey(data: Data, roi: Roi | None = None, bits: int | None = None) -> Survey:
    """Read every picture of a data set, named as in `training_samples`, or that region of it.

    `bits` as in `core.pictures.picture`; None: nobody said, and files of 16 bits are to use them. Raises DataError
    where they do not, or none can be read.
    """
    depth = bits or 16
    unreadable: list[str] = []
    samples = training_samples(data)
    beside = {folder for sample in samples for folder, _name in named_from_above(sample.path)}
    again = any(load_collected(folder).may_show_a_part_again for folder in beside)
    good = _looked_at(samples, lambda sample: _look(sample, roi, depth), "looking at pictures", unreadable)
    if not good:
        raise DataError(
            f"{', '.join(names(data))}: none of {len(unreadable)} pictures can be read; the first: {unreadable[0]}"
        )
    same: dict[str, list[Picture]] = {}
    for picture in good:
        same.setdefault(picture.digest, []).append(picture)
    named = [one for one in names(data) if one.startswith(ELPV) or (place_of(one) / "test").is_dir()]
    tested = _looked_at(
        labelled_samples(named), lambda sample: _tested(sample, roi, depth), "looking at test pictures", unreadable
    )
    both = [(same[one.digest][0].path, one.sample) for one in tested if one.digest in same]
    others = [one for one in tested if one.digest not in same]
    if bits is None:
        _require_used(
            [*(one.brightest_u16 for one in good), *(one.brightest_u16 for one in tested)], ", ".join(names(data))
        )
    different = [group[0] for group in same.values()]
    pairs = _shown_again(different, others, roi, depth)
    both += [(different[i].path, others[k - len(different)].sample) for i, k in pairs if k >= len(different)]
    return Survey(
        data=", ".join(names(data)),
        good=tuple(good),
        unreadable=tuple(unreadable),
        test=tuple(one.sample for one in tested),
        duplicates=tuple(tuple(picture.path for picture in group) for group in same.values() if len(group) > 1),
        twins=tuple((different[i].path, different[k].path) for i, k in pairs if k < len(different)),
        trained_and_tested=tuple(both),
        roi=roi,
        bits=depth,
        may_show_a_part_again=again,
    )


def _looked_at(samples: Sequence[Sample], look: Callable[[Sample], T], what: str, unreadable: list[str]) -> list[T]:
    """Look at each sample; what is wrong with those that cannot be read goes to `unreadable`."""
    seen = []
    for sample in counted(samples, what):
        try:
            seen.append(look(sample))
        except DataError as error:
            unreadable.append(str(error))
    return seen


def _require_used(brightest_u16: Sequence[int | None], data: str) -> None:
    """Raise DataError where files of 16 bits, by the largest value of each, do not use them: all is seen too dark."""
    deep = [brightest for brightest in brightest_u16 if brightest is not None]
    most = max(deep, default=65535)
    if usual_bits(most) < 16:
        raise DataError(
            f"{data}: {len(deep)} files keep 16 bits, and no value is above {most} of 65535: say how many "
            f"bits the camera gives, such as `--bits {usual_bits(most)}`; or `--bits 16`, where they are merely dark."
        )


def _shown_again(
    good: Sequence[Picture], tested: Sequence[_Tested], roi: Roi | None, bits: int
) -> list[tuple[int, int]]:
    """Pair each good picture with those of `good` and then of `tested`, by look and detail, that show it again.

    `roi` and `bits` as they were looked at.
    """
    looks = [*(picture.look for picture in good), *(one.look for one in tested)]
    details = [*(picture.detail for picture in good), *(one.detail for one in tested)]
    samples = [*(Sample(picture.path, is_cut=picture.is_cut) for picture in good), *(one.sample for one in tested)]
    alike = twins_of(looks, details, len(good))
    pairs = copies_among(alike, looks, lambda index: _read(samples[index], roi, bits)[1])
    known = {again for _, again in pairs}
    return pairs + [pair for pair in turned_twins_of(looks, details, len(good)) if pair[1] not in known]


def _read(sample: Sample, roi: Roi | None, bits: int) -> tuple[Stored, NDArray[np.uint8]]:
    """Read a picture: as it is stored, and the region of it that is looked at."""
    stored = read_as_stored(sample.path)
    try:
        return stored, crop(as_bgr_u8(stored, bits), None if sample.is_cut else roi)
    except DataError as error:
        raise DataError(f"{sample.path}: {error}") from error


def _tested(sample: Sample, roi: Roi | None, bits: int) -> _Tested:
    stored, frame = _read(sample, roi, bits)
    return _Tested(sample, _brightest_u16(stored), look_of(frame), detail_of(frame), pixel_digest(stored))


def _brightest_u16(stored: Stored) -> int | None:
    return int(stored.max()) if stored.dtype == np.uint16 else None


def _levels(frame: NDArray[np.uint8]) -> tuple[int, int]:
    darkest, brightest = np.percentile(frame, (1, 99))
    return int(darkest), int(brightest)


def _look(sample: Sample, roi: Roi | None, bits: int) -> Picture:
    stored, frame = _read(sample, roi, bits)
    try:
        found = outline(frame)
    except PartNotFoundError:
        found = None
    return Picture(
        path=sample.path,
        size=(frame.shape[1], frame.shape[0]),
        brightness=float(frame.mean()),
        brightest_u16=_brightest_u16(stored),
        outline=found,
        look=look_of(frame),
        detail=detail_of(frame),
        digest=pixel_digest(stored),
        is_cut=sample.is_cut,
        levels=_levels(frame) if stored.dtype == np.uint16 else (0, 255),
        is_unlit=is_black(frame) or is_overexposed(frame),
    )
