"""Data sets: which pictures train, and which test.

A data set is named by a folder in MVTec layout (`train/good`, `test/<kind>`, `ground_truth/<kind>`), by a plain folder
of good pictures, or by `elpv:mono` / `elpv:poly`, the solar cells of the PyPI package elpv-dataset. Several such names
are one data set too: that of all of them, in their order.
"""

import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os.path import lexists, realpath
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.config import expanded
from core.datasets.layout import GOOD, list_plain, require_folders, require_lower_case
from core.datasets.passed_over import beside_tests, beside_training, like_pictures, without_picture
from core.datasets.remarks import remarks_on
from core.errors import DataError
from core.files import told_apart, whole
from core.pictures.picture import NO_PICTURES, find_pictures, list_pictures

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

    @property
    def whole_path(self) -> Path:
        """Its one name in all tables, see `whole`."""
        return whole(self.path)


def training_samples(data: Data) -> list[Sample]:
    """List the good pictures meant for training; of several names' each file once, by whatever names it is reached.

    Raises DataError where there are none, in one of several too.
    """
    if not isinstance(data, str):
        listed = [sample for one in data for sample in training_samples(one)]
        once = each_once(listed, [realpath(sample.path) for sample in listed])
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
    sys.stderr.write(beside_training(good.parent) if good.is_dir() else "")
    sys.stderr.write(like_pictures(good if good.is_dir() else root))
    return with_remarks([Sample(path, listed_by=data) for path in found])


def labelled_samples(data: Data) -> list[Sample]:
    """List the pictures meant for testing with their kinds and masks, each once, whatever links and copies there are.

    `data` names folders with `test` in them, such `test` folders themselves, or plain folders of good pictures. Raises
    DataError where there are none, or where a picture is listed as two kinds.
    """
    samples = [sample for one in names(data) for sample in _labelled(one)]
    once = each_once(samples, told_apart([sample.path for sample in samples]))
    if more := len(samples) - len(once):
        told = "are there twice, by links, as copies or by several DATA"
        sys.stderr.write(f"counted once: {more} of {len(samples)} pictures {told}\n")
    return once


def each_once(samples: Sequence[Sample], marks: Sequence[object]) -> list[Sample]:
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


def are_defective(samples: Sequence[Sample]) -> NDArray[np.bool_]:
    """Say which of `samples` (N,) show a defective part, as far as the data's folders tell."""
    return np.array([sample.kind != GOOD for sample in samples], bool)


def _labelled(data: str) -> list[Sample]:
    if data.startswith(ELPV):
        return _elpv(data)[1]
    root = place_of(data)
    test = root / "test" if (root / "test").is_dir() else root
    require_lower_case(root, test)
    if not (test / GOOD).is_dir() and test == root:
        plain = list_plain(root)
        sys.stderr.write(like_pictures(root))
        return with_remarks([*map(Sample, plain)])
    require_folders(test)
    pictures = list(find_pictures(test))
    if not pictures:
        remedy = f"remove it, or put pictures into test/{GOOD} and test/<kind of defect>"
        raise DataError(f"{test}: {NO_PICTURES}; {remedy}.")
    samples = []
    for path in pictures:
        place = path.relative_to(test)
        mask = test.parent / "ground_truth" / place.with_name(f"{path.stem}_mask.png")
        samples.append(Sample(path, place.parts[0], mask if lexists(mask) else None))
    sys.stderr.write(like_pictures(test))
    sys.stderr.write(beside_tests(test, {sample.kind for sample in samples}))
    sys.stderr.write(without_picture(test, {sample.mask for sample in samples if sample.mask}))
    return with_remarks(samples)


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


def with_remarks(samples: Sequence[Sample]) -> list[Sample]:
    """Note what people said of samples, and which are cut already. Raises DataError where what they said is damaged."""
    remarks = remarks_on(sample.path for sample in samples)
    told = ((sample, remarks.get(sample.path)) for sample in samples)
    return [sample if said is None else replace(sample, is_marked=True, is_cut=said.is_cut) for sample, said in told]


def spread(samples: Sequence[T], count: int) -> list[T]:
    """Choose up to `count` of `samples`, spread evenly over them."""
    chosen = np.unique(np.linspace(0, len(samples) - 1, count).round().astype(int))
    return [samples[index] for index in chosen]


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
