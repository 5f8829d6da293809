"""Data sets: which pictures train, which test, and their frames at the model's size.

A data set is named by a folder in MVTec layout (`train/good`, `test/<kind>`, `ground_truth/<kind>`), by a plain folder
of good pictures, or by `elpv:mono` / `elpv:poly`, the solar cells of the PyPI package elpv-dataset. Several such names
are one data set too: that of all of them, in their order.
"""

import hashlib
import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os.path import lexists, realpath
from pathlib import Path
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from core.config import expanded
from core.errors import ConfigError, DataError, about
from core.files import told_apart, whole
from core.geometry import ModelInput
from core.layout import GOOD, list_plain, require_folders, require_lower_case
from core.picture import as_bgr_u8, crop, fit, list_pictures, read_as_stored, read_picture, usual_bits
from core.pose import cut_out, locate
from core.printable import printable
from core.progress import counted
from core.remarks import load_remarks

Data: TypeAlias = str | Sequence[str]
"""The name of a data set, or the names of several that are one together."""

T = TypeVar("T")
ELPV = "elpv:"


@dataclass(frozen=True)
class Sample:
    """A picture, the kind of part it shows (`good` or a defect's name), and its defect mask where one exists."""

    path: Path
    kind: str = GOOD
    mask: Path | None = None
    is_marked: bool = False
    """Somebody has looked at this very part, and said what it is."""
    is_cut: bool = False
    """It is what a model cut out of the camera's picture, and is not cut again."""
    listed_by: str = ""
    """The name of the data set that it trains for."""


@dataclass(frozen=True)
class Frames:
    """Pictures read and resized: `bgr_u8` (N, H, W, 3), whose they are, and the files skipped."""

    bgr_u8: NDArray[np.uint8]
    samples: tuple[Sample, ...]
    skipped: tuple[Path, ...]

    @property
    def names_skipped(self) -> list[str]:
        """The files skipped, as text that can be stored."""
        return [printable(whole(path)) for path in self.skipped]

    def fingerprint(self) -> str:
        """Digest of the frames and their order: what the network really saw."""
        return hashlib.sha256(np.ascontiguousarray(self.bgr_u8).data).hexdigest()


def training_samples(data: Data) -> list[Sample]:
    """List the good pictures meant for training; of several names' each file once, by whatever names it is reached.

    Raises DataError where there are none, in one of several too.
    """
    if not isinstance(data, str):
        listed = [sample for one in data for sample in training_samples(one)]
        once = _each_once(listed, [realpath(sample.path) for sample in listed])
        if more := len(listed) - len(once):
            told = "are there twice, by links or by several DATA"
            sys.stderr.write(f"counted once: {more} of {len(listed)} good pictures {told}\n")
        return once
    if data.startswith(ELPV):
        return _elpv(data)[0]
    root = place_of(data)
    require_lower_case(root, root / "train")
    good = root / "train" / GOOD
    if (root / "train").is_dir() and not good.is_dir():
        raise DataError(f"{root / 'train'}: no folder `{GOOD}` in it; the MVTec layout has train/{GOOD}.")
    if (root / "test").is_dir() and not good.is_dir():  # defective pictures must not be taken for good ones
        raise DataError(f"{root}: has a folder `test` but no train/{GOOD}; put the good pictures to train on there.")
    found = list_pictures(good) if good.is_dir() else list_plain(root)
    return _marked(root, (Sample(path, listed_by=data) for path in found))


def labelled_samples(data: Data) -> list[Sample]:
    """List the pictures meant for testing with their kinds and masks, each once, whatever links and copies there are.

    `data` names folders with `test` in them, such `test` folders themselves, or plain folders of good pictures. Raises
    DataError where there are none, or where a picture is listed as two kinds.
    """
    samples = [sample for one in names(data) for sample in _labelled(one)]
    once = _each_once(samples, told_apart([sample.path for sample in samples]))
    if more := len(samples) - len(once):
        told = "are there twice, by links, as copies or by several DATA"
        sys.stderr.write(f"counted once: {more} of {len(samples)} pictures {told}\n")
    return once


def _each_once(samples: Sequence[Sample], marks: Sequence[object]) -> list[Sample]:
    """Give one of each that share a mark, with a mask that any has: the first that people marked, or else the first."""
    kept: dict[object, Sample] = {}
    for sample, mark in zip(samples, marks, strict=True):
        known = kept.setdefault(mark, sample)
        if known.kind != sample.kind:
            raise DataError(
                f"{sample.path}: is listed as `{known.kind}` ({known.path}) and as `{sample.kind}`; leave one of them "
                "out: a folder without kinds below it is taken for good parts."
            )
        best = sample if sample.is_marked and not known.is_marked else known
        kept[mark] = replace(best, mask=known.mask or sample.mask)
    return list(kept.values())


def _labelled(data: str) -> list[Sample]:
    if data.startswith(ELPV):
        return _elpv(data)[1]
    root = place_of(data)
    test = root / "test" if (root / "test").is_dir() else root
    require_lower_case(root, test)
    if not (test / GOOD).is_dir() and test == root:
        return _marked(root, map(Sample, list_plain(root)))
    require_folders(test)
    samples = []
    for path in list_pictures(test):
        kind = path.relative_to(test).parts[0]
        mask = test.parent / "ground_truth" / kind / f"{path.stem}_mask.png"
        samples.append(Sample(path, kind, mask if lexists(mask) else None))
    return _marked(test.parent, samples)


def names(data: Data) -> tuple[str, ...]:
    """Give the names that a data set has: one or several."""
    return (data,) if isinstance(data, str) else tuple(data)


def place_of(name: str) -> Path:
    """Give the place that a name leads to, `~` expanded. Raises DataError where there is no such home folder."""
    try:
        return expanded(Path(name))
    except ValueError as error:
        raise DataError(f"{name}: {error}.") from error


def folders(data: Data) -> list[Path]:
    """Give the folders in which a data set's pictures are looked for, those below them included."""
    found = []
    for root in (place_of(name) for name in names(data) if not name.startswith(ELPV)):
        parts = [part for part in (root / "train" / GOOD, root / "test", root / "ground_truth") if part.is_dir()]
        found += parts or [root]
    return found


def counts(data: Data, samples: Sequence[Sample]) -> dict[str, int]:
    """Count training `samples` by the name under which they were listed, whatever lies there by now."""
    found = Counter(sample.listed_by for sample in samples)
    return {name: found[name] for name in names(data)}


def folders_told(samples: Sequence[Sample], most: int = 8) -> str:
    """Name the folders in which `samples` lie, and how many in each, the first `most` of them."""
    found = Counter(sample.path.parent for sample in samples)
    told = [f"{folder} ({count})" for folder, count in sorted(found.items())]
    return ", ".join(told[:most]) + (f" and {len(told) - most} more folders" if len(told) > most else "")


def _marked(root: Path, samples: Iterable[Sample]) -> list[Sample]:
    """Note what is told of samples of the data set in the folder `root`."""
    remarks = load_remarks(root)
    told = ((sample, remarks.get(sample.path)) for sample in samples)
    return [sample if said is None else replace(sample, is_marked=True, is_cut=said.is_cut) for sample, said in told]


def _require_same_cut(frame: NDArray[np.uint8], seen: ModelInput, path: Path) -> None:
    """Refuse a picture that another model cut than the one that is to see it, beside which it would show another thing.

    Not skipped: all that this model judged are alike. Raises ConfigError.
    """
    here, wanted = (frame.shape[1], frame.shape[0]), seen.cut_size
    if here != wanted:
        asked = f"those of {wanted[0]} x {wanted[1]}" if wanted else "whole pictures"
        raise ConfigError(
            f"{path}: is a cut-out of {here[0]} x {here[1]} pixels by the model that judged it, and {asked} are asked "
            "for here: use that model's `network.roi` and `network.part_size`, or leave this folder out."
        )


def spread(samples: Sequence[T], count: int) -> list[T]:
    """Choose up to `count` of `samples`, spread evenly over them."""
    chosen = np.unique(np.linspace(0, len(samples) - 1, count).round().astype(int))
    return [samples[index] for index in chosen]


def read_frames(samples: Sequence[Sample], seen: ModelInput) -> Frames:
    """Read pictures as the model sees them; one that cannot be is named on stderr, skipped and counted.

    Raises DataError where none could be read.
    """
    frames = np.empty((len(samples), seen.height, seen.width, 3), np.uint8)
    kept: list[Sample] = []
    skipped: list[Path] = []
    faults: list[str] = []
    brightest_u16: list[int] = []
    for sample in counted(samples, "reading pictures"):
        try:
            stored = read_as_stored(sample.path)
            frame = as_bgr_u8(stored, seen.bits)
            seen_here = seen.without_cut if sample.is_cut else seen
            if sample.is_cut:
                _require_same_cut(frame, seen, sample.path)
            fit(frame, frames[len(kept)], seen_here.roi, seen_here.pose)
        except DataError as error:
            faults.append(about(sample.path, error))
            sys.stderr.write(f"skipped: {faults[-1]}\n")
            skipped.append(sample.path)
        else:
            kept.append(sample)
            brightest_u16 += [int(stored.max())] if stored.dtype == np.uint16 else []
    # Where none reaches half of it, their upper bit is not used.
    if brightest_u16 and max(brightest_u16) < 2 ** (seen.bits - 1):
        sys.stderr.write(
            f"warning: the brightest of {len(brightest_u16)} 16-bit pictures is {max(brightest_u16)} of "
            f"{2**seen.bits - 1}, so few grey levels are left of them: the camera seems to give fewer bits; train with "
            f"`network.bits: {usual_bits(max(brightest_u16))}`, which goes with the bundle to the line.\n"
        )
    if not kept:
        raise DataError(f"none of {len(samples)} pictures can be read; the first: {faults[0]}")
    return Frames(frames[: len(kept)], tuple(kept), tuple(skipped))


def distinct(frames: Frames) -> Frames:
    """Skip what shows to the last bit what another picture shows, told on stderr; a marked one stays, or the first.

    A decoder that trained on the one must not judge the other for the thresholds.
    """
    marks = [hashlib.sha256(frame.data).digest() for frame in frames.bgr_u8]
    samples = _each_once(frames.samples, marks)
    if len(samples) == len(marks):
        return frames
    first = {digest: index for index, digest in reversed([*enumerate(marks)])}
    places = {sample.path for sample in samples}
    same = tuple(sample.path for sample in frames.samples if sample.path not in places)
    sys.stderr.write(f"skipped: {len(same)} of {len(marks)} pictures show what another one shows, such as {same[0]}\n")
    return Frames(frames.bgr_u8[sorted(first.values())], tuple(samples), frames.skipped + same)


def read_mask(sample: Sample, seen: ModelInput) -> NDArray[np.bool_]:
    """Read a sample's defect mask as `read_frames` sees its picture, bool; nothing is marked on a good part.

    A place is marked where anything in its area is, so that a thin scratch does not vanish when it is made smaller.
    """
    if sample.mask is None:
        return np.zeros((seen.height, seen.width), bool)
    seen = seen.without_cut if sample.is_cut else seen
    drawn = crop(read_picture(sample.mask), seen.roi)
    least = 127 if drawn.max() > 127 else 0  # some write 0 and 1, or the number of the defect
    mask = ((drawn > least) * np.uint8(255)).astype(np.uint8)
    if seen.pose is not None:
        place = locate(crop(read_picture(sample.path, seen.bits), seen.roi), seen.pose)
        mask = cut_out(mask, place, seen.pose.size)
    smaller = seen.height < mask.shape[0] or seen.width < mask.shape[1]
    # In float: an area's mean of a few marked pixels would round to 0.
    marked = cv2.resize(
        mask[:, :, 0].astype(np.float32),
        (seen.width, seen.height),
        interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST,
    )
    return np.asarray(marked > 0)


def _elpv(data: str) -> tuple[list[Sample], list[Sample]]:
    """Split the solar cells of one type: good is probability 0, defective 1, the uncertain between are dropped."""
    try:
        import elpv_dataset
    except ImportError as error:
        raise DataError(f"`{data}` needs the package elpv-dataset; pip install '.[demo]'.") from error
    cell_type = data.removeprefix(ELPV)
    root = Path(str(elpv_dataset.__file__)).parent / "data"
    rows = [row.split() for row in (root / "labels.csv").read_text(encoding="utf-8").splitlines()]
    if cell_type not in (types := sorted({kind for _name, _probability, kind in rows})):
        raise DataError(f"`{data}`: no such cells; give {' or '.join(ELPV + each for each in types)}.")
    cells = [(name, float(probability)) for name, probability, kind in rows if kind == cell_type]
    good = sorted(name for name, probability in cells if probability == 0.0)
    random.Random(0).shuffle(good)
    cut = round(0.7 * len(good))
    defective = sorted(name for name, probability in cells if probability == 1.0)
    train = [Sample(root / name, listed_by=data) for name in good[:cut]]
    test = [Sample(root / name) for name in good[cut:]] + [Sample(root / name, "defective") for name in defective]
    return train, test
