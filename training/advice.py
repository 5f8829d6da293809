"""Advice for a data set: the few settings that its pictures dictate, each with its reason, as a configuration file."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from core.dataset import GOOD
from core.errors import DataError
from core.geometry import PartSize
from core.thresholds import LEAST_PARTS, parts_needed
from training.settings import NetworkSettings, TrainingSettings
from training.survey import Picture, Survey

_NETWORK = NetworkSettings()
SIDE = min(_NETWORK.height, _NETWORK.width)
"""Pixels of the input's short side."""
STEP = round(_NETWORK.grid * _NETWORK.encoder.stride / _NETWORK.tile_scale)
"""Sides are multiples of it: then a tile covers whole places of the encoder's maps."""
FOUND = 0.95
"""A part must be found in this share of the pictures to be cut out of all."""
LEAST_AXIS_RATIO = 1.15
"""Below it noise decides which way the principal axis points: round and square parts."""
MOST_DEVIATION = 0.1
"""Median deviation of the length, as a share of it: of one kind of part at one distance it is less."""
MOST_FILLED = 0.6
"""Share of the picture: a part that fills more cannot turn far."""
MARGIN = 1.05
BELIEVED = 0.9
"""Training leaves odd pictures out of the thresholds: so few of the good ones may be left."""
DRIFT_LEVELS, DRIFT_SPREADS = 5, 2
"""Groups of pictures differ in brightness where it is by more than both: grey levels, and spreads within a group."""
MANY = 100
"""Good pictures, from which on the thresholds are near those of many."""
LEAST_GROUP = 5
"""Pictures of which a median brightness can be told."""
TWELVE_BITS = 4096
NAMED = 10
"""As many files of a kind are named; of more their number is told."""


@dataclass(frozen=True)
class Setting:
    """A line of the configuration and why it is there."""

    key: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Advice:
    """What to set, under `network` and beside it, and what to know before training."""

    findings: tuple[str, ...]
    network: tuple[Setting, ...] = ()
    settings: tuple[Setting, ...] = ()
    part_size: PartSize | None = None

    def as_yaml(self, name: str, data: str) -> str:
        """Write the configuration with its reasons as comments."""
        lines = [line for finding in self.findings for line in _comment(finding)]
        lines += [_line("name", name), _line("data", data), _line("output", f"runs/{name}")]
        if self.network:
            lines.append("network:")
            for setting in self.network:
                lines += [f"  {line}" for line in [*_comment(setting.reason), _line(setting.key, setting.value)]]
        for setting in self.settings:
            lines += [*_comment(setting.reason), _line(setting.key, setting.value)]
        return "\n".join(lines) + "\n"


def advise(survey: Survey) -> Advice:
    """Derive the advice from a survey. Raises DataError where there are too few good pictures for any training."""
    good = survey.good
    if len(good) < LEAST_PARTS:
        raise DataError(f"{survey.data}: {len(good)} good pictures are too few for any training; give 100 or more.")
    part_size, pose = _pose(good)
    network = sized = _input_size(good, part_size)
    if part_size is not None:
        network = (Setting("part_size", list(part_size), pose), *network)
    if survey.roi is not None:
        reason = "The region that was given. On the line a camera without `roi` and `regions` judges it too."
        network = (Setting("roi", list(survey.roi), reason), *network)
    findings = [
        _summary(survey),
        *([] if part_size else [pose]),
        *([] if sized else [f"The input of {SIDE} x {SIDE} pixels that train-model takes has the pictures' shape."]),
        *_few(len(good)),
        *_depth(good),
        *_brightness(good),
        *_duplicates(survey),
        *_list("Unreadable, and skipped in training", survey.unreadable),
    ]
    return Advice(tuple(findings), network, _enough(len(good)), part_size)


def _summary(survey: Survey) -> str:
    sizes = sorted({picture.size for picture in survey.good})
    shown = " to ".join(dict.fromkeys(f"{width} x {height}" for width, height in (sizes[0], sizes[-1])))
    text = f"`train-model init` looked at {survey.data}: {len(survey.good)} good pictures of {shown} pixels"
    kinds: dict[str, int] = {}
    for sample in survey.test:
        kinds[sample.kind] = kinds.get(sample.kind, 0) + 1
    if kinds:
        text += "; to test with " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    else:
        text += f"; no folder `test`, so misses cannot be measured (test/{GOOD}, test/<kind of defect>)"
    return text + ". What is not set below is train-model's default, which docs/method.md explains."


def _pose(good: Sequence[Picture]) -> tuple[PartSize | None, str]:
    """Say how large a part is cut out and turned straight, or None; and why."""
    parts = [picture.outline for picture in good if picture.outline]
    none = "Parts are not cut out and turned straight (network.part_size): "
    if len(parts) < FOUND * len(good):
        return (
            None,
            none + f"only in {len(parts)} of {len(good)} pictures is there a part of another colour than the rim.",
        )
    extents = np.array([part.extents for part in parts])
    lengths = np.array([max(part.extents) for part in parts])
    touching = sum(part.touches_border for part in parts)
    filled = float(np.median([part.share for part in parts]))
    deviation = float(np.median(np.abs(lengths - np.median(lengths))) / np.median(lengths))
    ratio = float(np.percentile([part.axis_ratio for part in parts], 5))
    if touching > len(parts) / 2:
        return None, none + f"in {touching} of {len(good)} pictures what is found runs off the picture."
    if filled > MOST_FILLED:
        return None, none + f"what is found fills {filled:.0%} of the picture."
    if deviation > MOST_DEVIATION:
        return None, none + f"the lengths that are found differ by {deviation:.0%}."
    if ratio < LEAST_AXIS_RATIO:
        return None, none + f"they are round or square, with no long axis to turn by (axis ratio {ratio:.2f})."
    length, breadth = (math.ceil(extent * MARGIN) for extent in np.percentile(extents, 95, axis=0))
    part_size = max(length, breadth), min(length, breadth)
    reason = (
        f"A part was found in {len(parts)} of {len(good)} pictures, longer than broad (axis ratio from {ratio:.2f}), "
        f"as a rule {np.median(extents[:, 0]):.0f} x {np.median(extents[:, 1]):.0f} pixels: it is cut out and turned "
        "straight first, so that it may lie anywhere and at any angle. Look at the sheet; where the cut-outs are "
        "wrong, delete `part_size`, `height` and `width`."
    )
    return part_size, reason


def _input_size(good: Sequence[Picture], part_size: PartSize | None) -> tuple[Setting, ...]:
    """Give the input the shape of what is judged; nothing where the default has it."""
    aspects = [width / height for width, height in ([part_size] if part_size else [picture.size for picture in good])]
    aspect = float(np.median(aspects))
    longer = max(round(max(aspect, 1 / aspect) * SIDE / STEP) * STEP, SIDE)
    if longer == SIDE:
        return ()
    what = "the part is" if part_size else "the pictures are"
    across = aspect if aspect > 1 else 1 / aspect
    reason = (
        f"The shape of what is judged: {what} {across:.2f} times as "
        f"{'broad as high' if aspect > 1 else 'high as broad'}. Both sides are multiples of {STEP}."
    )
    if max(aspects) > 1.1 * min(aspects):
        reason += (
            f" The pictures differ in shape ({min(aspects):.2f} to {max(aspects):.2f}), and are stretched to this one."
        )
    height, width = (SIDE, longer) if aspect > 1 else (longer, SIDE)
    return Setting("height", height, reason), Setting("width", width, "")


def _few(pictures: int) -> list[str]:
    """Say what few pictures cost, by benchmarks/promise.py."""
    if pictures >= MANY:
        return []
    return [
        f"{pictures} good pictures are few: with 30 the thresholds are on average 11 % above those that many would "
        f"give, with {MANY} 5 %, and more defects pass below them. More pictures help more than any setting."
    ]


def _depth(good: Sequence[Picture]) -> list[str]:
    maxima = [picture.maximum_u16 for picture in good if picture.maximum_u16 is not None]
    if not maxima or max(maxima) >= TWELVE_BITS:
        return []
    return [
        f"ATTENTION: {len(maxima)} files have 16 bits, but no value above {max(maxima)}: pictures of 12 bits or fewer. "
        f"They are read as the full range of 16 bits, so {max(maxima) // 257 + 1} of 256 levels are left, nearly "
        "black. Let the camera's software write 8 bits, or values times 16, here and on the line."
    ]


def _brightness(good: Sequence[Picture]) -> list[str]:
    """Tell of brightness that differs between sub-folders, or else between the quarters of the files in name order."""
    folders: dict[str, list[float]] = {}
    for picture in good:
        folders.setdefault(str(picture.path.parent), []).append(picture.brightness)
    quarters = np.array_split(np.array([picture.brightness for picture in good]), 4)
    by_order = {f"quarter {number} of the files": quarter.tolist() for number, quarter in enumerate(quarters, 1)}
    for where, groups in (("between folders", folders), ("in the order of the files", by_order)):
        large = {name: np.array(levels) for name, levels in groups.items() if len(levels) >= LEAST_GROUP}
        if len(large) > 1 and (drift := _drift(large)):
            return [
                f"Brightness differs {where}: {drift}. train-model brings every picture to one mean and contrast "
                "first, so a lamp that ages is no defect; have pictures of every state of the line among the good."
            ]
    return []


def _drift(groups: dict[str, NDArray[np.float64]]) -> str:
    """Name the darkest and the brightest group where they differ more than the pictures of one group; else nothing."""
    medians = {name: float(np.median(levels)) for name, levels in groups.items()}
    within = np.concatenate([np.abs(levels - medians[name]) for name, levels in groups.items()])
    darkest, brightest = (choose(medians, key=lambda name: medians[name]) for choose in (min, max))
    least = max(DRIFT_LEVELS, DRIFT_SPREADS * 1.4826 * float(np.median(within)))
    if medians[brightest] - medians[darkest] <= least:
        return ""
    return f"{darkest} has {medians[darkest]:.0f} of 255, {brightest} {medians[brightest]:.0f}"


def _duplicates(survey: Survey) -> list[str]:
    return [
        *_list(
            "The same picture more than once among the good: keep one, or parts that were judged unseen were seen",
            [", ".join(map(str, group)) for group in survey.duplicates],
        ),
        *_list(
            "ATTENTION: test pictures that are among the good ones for training, so the test says nothing of them",
            [f"{tested} is {trained}" for trained, tested in survey.trained_and_tested],
        ),
    ]


def _list(what: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    more = [f"and {len(items) - NAMED} more"] if len(items) > NAMED else []
    return [f"{what} ({len(items)}):", *(f"- {item}" for item in [*items[:NAMED], *more])]


def _enough(pictures: int) -> tuple[Setting, ...]:
    """Ask for a false-reject rate that so few pictures can promise; nothing where they can promise the default."""
    wanted, folds = (TrainingSettings.model_fields[key].default for key in ("false_reject_rate", "folds"))
    believed = max(LEAST_PARTS, math.floor(BELIEVED * pictures))
    enough, enough_for_less = (math.ceil(parts_needed(rate) / BELIEVED) for rate in (wanted, wanted / 5))
    settings = []
    if believed < parts_needed(wanted):
        rate = math.ceil(100 / (believed + 1)) / 100
        reason = (
            f"{pictures} good pictures, of which some may stand apart, are too few for the usual {wanted:.0%}: with "
            f"M pictures a rate below 1 / (M + 1) cannot be promised. {enough} would do for {wanted:.0%}, "
            f"{enough_for_less} for {wanted / 5:.0%}."
        )
        settings.append(Setting("false_reject_rate", rate, reason))
    if pictures < folds:
        settings.append(Setting("folds", pictures, "No more folds than pictures."))
    return tuple(settings)


def _line(key: str, value: Any) -> str:
    return str(yaml.safe_dump({key: value}, default_flow_style=True, allow_unicode=True, width=math.inf)).strip()[1:-1]


def _comment(text: str) -> list[str]:
    """Wrap as comment lines; names of files may hold what ends a line or cannot be printed."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return textwrap.wrap(
        printable,
        116,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
