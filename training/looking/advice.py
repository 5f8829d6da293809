"""Advice for a data set: the few settings that its pictures dictate, each with its reason, as a configuration file."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from core.datasets.dataset import Data
from core.errors import DataError
from core.pictures.geometry import Pose
from core.thresholds import LEAST_PARTS, parts_needed
from training.looking.findings import ATTENTION, ITEM, findings, neighbours_alike, pieces, scales, summary
from training.looking.poses import Lying, look_at_poses
from training.looking.survey import Picture, Survey
from training.settings import NetworkSettings, TrainingSettings

_NETWORK = NetworkSettings()
SIDE = min(_NETWORK.height, _NETWORK.width)
"""Pixels of the input's short side."""
LONGEST = 10
"""A part so many times as long as wide is judged at the full SIDE; a longer one at less, or its cost has no end."""
STEP = round(_NETWORK.grid * _NETWORK.encoder.stride / _NETWORK.tile_scale)
"""Sides are multiples of it: then a tile covers whole places of the encoder's maps."""
FAST_SIDES = 8 / 9
"""The fast form's sides, of the recipe's."""
FAST: dict[str, dict[str, Any]] = {
    "network": {
        "tile_scale": 0.375,
        "encoder": {"stages": [3, 5, 6], "tile_stages": [3], "stride": 8},
        "decoder_channels": 64,
    },
    "score": {"memory": 800},
}
"""The form for small boxes, `configs/fast.yaml`: docs/results.md says what it costs and gives."""
_RATE = "false_reject_rate"
BELIEVED = 0.9
"""Training leaves odd pictures out of the thresholds: so few of the good ones may be left."""


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
    network: tuple[Setting, ...]
    settings: tuple[Setting, ...]
    pose: Pose | None

    @property
    def attention(self) -> tuple[str, ...]:
        """What nobody should train without having read, in lines for a terminal."""
        lines, is_urgent = [], False
        for finding in self.findings:
            is_urgent = finding.startswith(ATTENTION) or (is_urgent and finding.startswith(ITEM))
            if is_urgent:
                lines.append(_as_one_line(finding))
        told = (f"{ATTENTION}`{_line(one.key, one.value)}`. {one.reason}" for one in self.settings if one.reason)
        return (*lines, *told)

    def as_yaml(self, name: str, data: Data) -> str:
        """Write the configuration with its reasons as comments."""
        lines = [line for finding in self.findings for line in _comment(finding)]
        lines += [
            _line("name", name),
            _line("data", data if isinstance(data, str) else list(data)),
            _line("output", f"runs/{name}"),
        ]
        if self.network:
            lines.append("network:")
            for setting in self.network:
                lines += [f"  {line}" for line in [*_comment(setting.reason), _line(setting.key, setting.value)]]
        for setting in self.settings:
            lines += [*_comment(setting.reason), _line(setting.key, setting.value)]
        return "\n".join(lines) + "\n"


def advise(survey: Survey, is_fast: bool = False) -> Advice:
    """Derive the advice from a survey, for the recipe or the fast form.

    Raises DataError where there are too few good pictures for any training.
    """
    good = [*{picture.digest: picture for picture in survey.good}.values()]
    if len(good) < LEAST_PARTS:
        different = "" if len(good) == len(survey.good) else " that differ"
        raise DataError(
            f"{survey.data}: {len(good)} good pictures{different} are too few for any training; give 100 or more."
        )
    # What a model cut out says nothing of how parts lie in the camera's pictures.
    lying = look_at_poses([picture for picture in good if not picture.is_cut] or good, survey.roi, survey.bits)
    judged = [lying.pose.size] if lying.pose else [picture.size for picture in good]
    sized = _input_size(judged, "the part is" if lying.pose else "the pictures are")
    settings = _enough(len(good))
    found = [
        summary(survey),
        *([*pieces(good), *scales(good)] if lying.pose else [lying.reason]),
        *([] if sized else [f"The input of {SIDE} x {SIDE} pixels that train-model takes has the pictures' shape."]),
        *findings(survey, judged, SIDE),
        *([] if any(one.key == _RATE for one in settings) else [_yours_to_set(len(good))]),
    ]
    if survey.may_show_a_part_again and (alike := neighbours_alike(survey)):
        reason = f"They were collected from a camera that may show a part several times, and {alike}."
        settings = (*settings, Setting("bursts", True, reason))
    if is_fast:
        settings = (*settings, Setting("score", FAST["score"], ""))
    return Advice(tuple(found), _under_network(survey, good, lying, sized, is_fast), settings, lying.pose)


def _under_network(
    survey: Survey, good: Sequence[Picture], lying: Lying, sized: Sequence[Setting], is_fast: bool
) -> tuple[Setting, ...]:
    """Give what stands under `network`, in this order; `sized` is what the input's size is."""
    found = []
    if survey.bits != 16:
        found.append(Setting("bits", survey.bits, "As was given. The bundle carries it to the line."))
    if survey.roi is not None:
        reason = "The region that was given. On the line a camera without `roi` and `regions` judges it too."
        found.append(Setting("roi", list(survey.roi), reason))
    if lying.pose is not None:
        reason = f"{lying.reason} {_whole_instead(good, lying.upright is not None, is_fast)}"
        found.append(Setting("part_size", list(lying.pose.size), reason))
    if lying.upright is not None:
        found.append(Setting("upright", str(lying.upright), lying.why_upright))
    if not is_fast:
        return (*found, *sized)
    return (*found, *_smaller(sized), *(Setting(key, value, "") for key, value in FAST["network"].items()))


def _input_size(judged: Sequence[tuple[int, int]], what: str) -> tuple[Setting, ...]:
    """Give the input the shape of what is judged; nothing where the default has it."""
    aspect = float(np.median([width / height for width, height in judged]))
    across = max(aspect, 1 / aspect)
    shorter = max(math.floor(SIDE * min(1, math.sqrt(LONGEST / across)) / STEP) * STEP, STEP)
    most = math.floor(LONGEST * SIDE**2 / shorter / STEP) * STEP
    longer = min(max(round(across * shorter / STEP) * STEP, shorter), most)
    if longer == SIDE:
        return ()
    reason = (
        f"The shape of what is judged: {what} {across:.2f} times as "
        f"{'wide as high' if aspect > 1 else 'high as wide'}. Both sides are multiples of {STEP}."
    )
    if shorter < SIDE:
        reason += (
            f" So long a part is judged at {shorter} pixels across and not {SIDE}, to keep its cost within bounds: "
            "where defects are small, judge it in several regions (`roi`, a model for each)."
        )
    height, width = (shorter, longer) if aspect > 1 else (longer, shorter)
    return Setting("height", height, reason), Setting("width", width, "")


def _whole_instead(good: Sequence[Picture], is_upright: bool, is_fast: bool) -> str:
    """Say what to write where the cut-outs are wrong: other keys need `part_size`, and the sides are the part's."""
    sized = _input_size([picture.size for picture in good], "")
    sides = {"height": SIDE, "width": SIDE, **{one.key: one.value for one in (_smaller(sized) if is_fast else sized)}}
    gone = "`part_size` and `upright`" if is_upright else "`part_size`"
    return (
        f"Look at the sheet; where the cut-outs are wrong, delete {gone}, and have `height: {sides['height']}` and "
        f"`width: {sides['width']}`, the whole picture's shape."
    )


def _smaller(sized: Sequence[Setting]) -> tuple[Setting, ...]:
    """Give the input the sides of the fast form, for those that the recipe would have."""
    sides = {"height": _NETWORK.height, "width": _NETWORK.width, **{one.key: one.value for one in sized}}
    grid = _NETWORK.grid
    shape = f"{sized[0].reason} Here they are" if sized else f"The pictures have the shape of {SIDE} x {SIDE}: here"
    reason = f"{shape} eight ninths of that, for the fast form."
    height, width = (math.floor(sides[side] * FAST_SIDES / grid + 1e-9) * grid for side in ("height", "width"))
    return Setting("height", height, reason), Setting("width", width, "")


def _enough(pictures: int) -> tuple[Setting, ...]:
    """Ask for a false-reject rate that so few pictures can promise; nothing where they can promise the default."""
    wanted, folds = (TrainingSettings.model_fields[key].default for key in (_RATE, "folds"))
    believed = _believed(pictures)
    enough, enough_for_less = (math.ceil(parts_needed(rate) / BELIEVED) for rate in (wanted, wanted / 5))
    settings = []
    if believed < parts_needed(wanted):
        rate = math.ceil(100 / (believed + 1)) / 100
        reason = (
            f"{pictures} good pictures are too few for the usual {wanted:.0%}: M pictures cannot promise a rate below "
            f"1 / (M + 1), and some may be left out because they stand apart. The fewest are {enough} for {wanted:.0%} "
            f"and {enough_for_less} for {wanted / 5:.0%}; have about five times as many."
        )
        settings.append(Setting(_RATE, rate, reason))
    if pictures < folds:
        settings.append(Setting("folds", pictures, "No more folds than pictures."))
    return tuple(settings)


def _yours_to_set(pictures: int) -> str:
    """Name the one setting that no picture tells, where nothing else does."""
    usual = TrainingSettings.model_fields[_RATE].default
    least = math.ceil(1000 / (_believed(pictures) + 1)) / 1000
    return (
        f"What share of good parts may be rejected is yours to set: `{_RATE}: {usual:g}` is the default, and so many "
        f"pictures can promise {least:g} or more. The lower it is, the more defects pass."
    )


def _believed(pictures: int) -> int:
    """Say of how many good pictures it is certain that they are left to set the thresholds."""
    return max(LEAST_PARTS, math.floor(BELIEVED * pictures))


def _line(key: str, value: Any) -> str:
    return str(yaml.safe_dump({key: value}, default_flow_style=True, allow_unicode=True, width=math.inf)).strip()[1:-1]


def _as_one_line(text: str) -> str:
    """Make one line of what may name files: their names may hold what ends a line or cannot be printed."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def _comment(text: str) -> list[str]:
    """Wrap as comment lines."""
    return textwrap.wrap(
        _as_one_line(text),
        116,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
