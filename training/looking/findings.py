"""What is to be known of a data set before training: what its pictures tell that no setting mends."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.datasets.layout import GOOD
from core.pictures.geometry import OTHER_SHAPE
from core.pictures.picture import usual_bits
from core.pictures.pose import Outline
from training.looking.bursts import two_alike
from training.looking.survey import Picture, Survey

ATTENTION, ITEM = "ATTENTION: ", "- "
"""How a finding begins that nobody should train without having read, and a line of a list below it."""
DIFFERENT_SCALES = 1.25
"""Length of a part in pictures of one size, over that in those of another: parts of one kind differ by less."""
ENLARGED = 4
"""Pictures smaller than the input by more than this factor show too little to be enlarged without a word."""
DRIFT_LEVELS, DRIFT_SPREADS = 5, 2
"""Groups of pictures differ in brightness where it is by more than both: grey levels, and spreads within a group."""
LEAST_LEVELS = 32
"""Of the 256 that the network sees, in pictures whose files tell more apart."""
MANY = 100
"""Good pictures, from which on the thresholds are near those of many."""
LEAST_GROUP = 10
"""Pictures of which a median brightness can be told: of groups of five, every fourth set without any drift has one."""
MOST_GROUPS = 4
FEWER_BITS = 4
"""A picture whose brightest value is a sixteenth of another's was not lit so: 12 bits beside 16."""
PIECES, LEAST_PIECE = 0.1, 0.003
"""Of the part's area: other regions that differ from the picture's edge are dirt and shadows below the first, unless
they are of one size in all pictures, as a pin is, and above the second."""
ONE_SIZE = 0.7
"""Of the largest, but for a few: the least area of what belongs to each part."""
NAMED = 10
"""As many files of a kind are named; of more their number is told."""


def summary(survey: Survey) -> str:
    """Say in two sentences what was looked at."""
    sizes = sorted({picture.size for picture in survey.good})
    shown = " to ".join(dict.fromkeys(f"{width} x {height}" for width, height in (sizes[0], sizes[-1])))
    text = f"`train-model init` looked at {survey.data}: {len(survey.good)} good pictures of {shown} pixels"
    kinds = Counter(sample.kind for sample in survey.test)
    if kinds:
        text += "; to test with " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    else:
        text += f"; nothing to test with, so misses cannot be measured (test/{GOOD}, test/<kind of defect>)"
    return text + ". What is not set below is train-model's default, which docs/method.md explains."


def findings(survey: Survey, judged: Sequence[tuple[int, int]], side: int) -> list[str]:
    """Say in sentences what is odd. `judged`: width and height in pixels of what is judged, to be brought to `side`."""
    good = survey.good
    return [
        *_shapes(good, judged, side),
        *_few(len({picture.digest for picture in good})),
        *_unlit(good),
        *_fewer_bits(good),
        *_coarse(good),
        *_brightness(good),
        *_duplicates(survey),
        *([] if survey.may_show_a_part_again else _bursts(survey)),
        *_list(f"{ATTENTION}files that cannot be read, and so are left out of training and test", survey.unreadable),
    ]


def beside(parts: Sequence[Outline]) -> float:
    """Say how much stands beside the parts that are found, as a rule and over their area; 0 where it is only dirt."""
    least, usual, most = np.percentile([part.others for part in parts], (5, 50, 95))
    belongs = least > max(LEAST_PIECE, ONE_SIZE * most)
    return float(usual) if belongs or usual > PIECES else 0.0


def pieces(good: Sequence[Picture]) -> list[str]:
    """Tell of regions beside the part that is to be cut out: of several colours, it is found in pieces."""
    others = beside([picture.outline for picture in good if picture.outline])
    if not others:
        return []
    return [
        f"{ATTENTION}beside the part that is cut out, other things differ from the picture's edge, as a rule "
        f"{others:.1%} of its area. Do they belong to it (pins, a cable, a bright edge)? Then look at the sheet: what "
        "is cut away is not judged. The file says at `part_size` how the whole picture is."
    ]


def scales(good: Sequence[Picture]) -> list[str]:
    """Tell of parts that are to be cut out, and are larger in pictures of one size than in those of another."""
    lengths: dict[tuple[int, int], list[float]] = {}
    for picture in good:
        if picture.outline:
            lengths.setdefault(picture.size, []).append(max(picture.outline.extents))
    medians = sorted((float(np.median(found)), size) for size, found in lengths.items())
    (short, less), (long, more) = medians[0], medians[-1]
    if long < DIFFERENT_SCALES * short:
        return []
    return [
        f"{ATTENTION}parts are {short:.0f} pixels long in pictures of {less[0]} x {less[1]}, and {long:.0f} in those "
        f"of {more[0]} x {more[1]}. They are cut out at one size in pixels, so the model would see them small and "
        "large: have all pictures as the line's camera gives them."
    ]


def _shapes(good: Sequence[Picture], judged: Sequence[tuple[int, int]], side: int) -> list[str]:
    """Tell of pictures that are stretched to one shape, or enlarged."""
    found = []
    aspects = [width / height for width, height in judged]
    if max(aspects) > OTHER_SHAPE * min(aspects):
        # Where all are apart by so much, some are so far from the usual one, which is a picture's even of two alike.
        usual, far = sorted(aspects)[len(aspects) // 2], math.sqrt(OTHER_SHAPE)
        odd = [one for one in good if not 1 / far <= one.size[0] / one.size[1] / usual <= far]
        found += _list(
            f"{ATTENTION}the pictures differ in shape ({min(aspects):.2f} to {max(aspects):.2f} times as wide as "
            "high) and are all stretched to one. Are these another camera's pictures, or turned ones",
            [f"{one.path}, {one.size[0]} x {one.size[1]}" for one in odd],
        )
    short = float(np.median([min(size) for size in judged]))
    if short * ENLARGED < side:
        found.append(
            f"{ATTENTION}what is judged is {short:.0f} pixels across, and is enlarged for the network. A defect of a "
            "pixel or two will not be seen: film closer, or with a larger picture."
        )
    return found


def _few(pictures: int) -> list[str]:
    """Say what few pictures cost, by benchmarks/promise.py."""
    if pictures >= MANY:
        return []
    return [
        f"{pictures} good pictures are few: the thresholds come out higher than many pictures would set them, on "
        f"average by 11% with 30 and by 5% with {MANY}, so more defects pass. More pictures help more than any setting."
    ]


def _unlit(good: Sequence[Picture]) -> list[str]:
    """Tell of pictures that are black or white; where most are, it is how these parts are lit, as in a dark field."""
    found = [str(picture.path) for picture in good if picture.is_unlit]
    if 2 * len(found) > len(good):
        return [
            f"{ATTENTION}{len(found)} of {len(good)} good pictures are nearly black or white. Are these parts lit so? "
            "A station does not decide about such, unless its camera has an `exposure` of its own."
        ]
    return _list(
        f"{ATTENTION}good pictures that are black or white all over: a station does not decide about such, unless "
        "its camera has an `exposure` of its own; remove them",
        found,
    )


def _fewer_bits(good: Sequence[Picture]) -> list[str]:
    """Tell of files of 16 bits that hold far fewer than others do: another camera's, they are nearly black here."""
    deep = [(usual_bits(picture.brightest_u16), str(picture.path)) for picture in good if picture.brightest_u16]
    most = max((bits for bits, _path in deep), default=0)
    return _list(
        f"{ATTENTION}files of 16 bits that hold {most - FEWER_BITS} or fewer, beside others that hold {most}: nearly "
        "black as they are read. Another camera's? Then save them as the others are, or remove them",
        [path for bits, path in deep if bits <= most - FEWER_BITS],
    )


def _coarse(good: Sequence[Picture]) -> list[str]:
    """Tell of files of 16 bits that use so little of their range that few grey levels are left in 8 bits."""
    levels = [picture.levels for picture in good if picture.brightest_u16 is not None]
    if not levels:
        return []
    darkest, brightest = np.median(levels, axis=0).round().astype(int).tolist()
    if brightest - darkest >= LEAST_LEVELS:
        return []
    return [
        f"{ATTENTION}the files keep 16 bits, and what they show lies as a rule between {darkest} and {brightest} of "
        "the 256 grey levels to which they are brought: what differs by less than one is lost. Have the camera or its "
        "software spread what it sees over more of its range, by the same limits for every picture, as on the line."
    ]


def _brightness(good: Sequence[Picture]) -> list[str]:
    """Tell of brightness that differs between sub-folders, or else in the files' order by name."""
    folders: dict[str, list[float]] = {}
    for picture in good:
        folders.setdefault(str(picture.path.parent), []).append(picture.brightness)
    runs = np.array_split(np.arange(len(good)), max(1, min(MOST_GROUPS, len(good) // LEAST_GROUP)))
    by_order = {f"files {run[0] + 1} to {run[-1] + 1}": [good[index].brightness for index in run] for run in runs}
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
    return f"{medians[darkest]:.0f} of 255 in {darkest}, {medians[brightest]:.0f} in {brightest}"


def _duplicates(survey: Survey) -> list[str]:
    both, bursts = survey.trained_and_tested, survey.bursts
    # What is said of bursts tells of those within one.
    twins = [pair for pair in survey.twins if not bursts or bursts.get(pair[0]) != bursts.get(pair[1])]
    return [
        *_list(
            "The same picture more than once among the good; training takes the first",
            [_first_names(group) for group in survey.duplicates],
        ),
        *_list(
            f"{ATTENTION}good pictures that show what another one shows: saved again, or a part that was filmed again. "
            "What trained on one judges the other for the thresholds, which come out too low: remove one of each. Two "
            "parts that nothing tells apart, as washers, may merely lie alike: keep both",
            [f"{one} and {again}" for one, again in twins],
        ),
        *_list(
            f"{ATTENTION}test pictures that show what a picture for training shows: the same, saved again, turned or "
            "mirrored, or a part that was filmed again. The report's figures are too good by them: remove one of each. "
            "Two parts that nothing tells apart, as washers, may merely lie alike: keep both",
            [f"{tested.path} and {trained}" for trained, tested in both if tested.kind == GOOD],
        ),
        *_list(
            f"{ATTENTION}pictures that train as good ones and test as bad ones. Either one of both lies in the wrong "
            "folder, or the defect is hardly to be seen. A bad part that trains as good lets others like it pass: look "
            "at both, and remove the wrong one",
            [f"{tested.path} ({tested.kind}) and {trained}" for trained, tested in both if tested.kind != GOOD],
        ),
    ]


def neighbours_alike(survey: Survey) -> str | None:
    """Say that neighbours in the order of the files are alike, where they are."""
    bursts = survey.bursts
    if not bursts:
        return None
    looks = {picture.path: picture.look for picture in survey.good}
    one, other = two_alike(np.array([*bursts.values()]), [looks[path] for path in bursts], [*bursts])
    return (
        f"pictures that follow one another in the order of the files are alike, as if {len(bursts)} pictures "
        f"showed {len(set(bursts.values()))} parts: look at {one} and {other}"
    )


def _bursts(survey: Survey) -> list[str]:
    """Tell where parts may have been filmed several times."""
    if (alike := neighbours_alike(survey)) is None:
        return []
    return [
        f"{ATTENTION}{alike}. Do they show one part? Then set `bursts: true`, or keep one picture of each part: else "
        "many good parts will be rejected. Or two parts, of one batch? Then set `bursts: false`, or training will ask "
        "again; and have pictures of every batch."
    ]


def _first_names(paths: Sequence[Path]) -> str:
    more = f", and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(map(str, paths[:NAMED])) + more


def _list(what: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    more = [f"and {len(items) - NAMED} more"] if len(items) > NAMED else []
    return [f"{what} ({len(items)}):", *(f"{ITEM}{item}" for item in [*items[:NAMED], *more])]
