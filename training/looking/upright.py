"""Upright: which good picture shows how a part is to lie whose outline does not say it, and its reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.datasets.dataset import place_of, spread
from core.errors import ConfigError, DataError, about
from core.pictures.geometry import UPRIGHT_CHARACTERS, PartSize, Roi
from core.pictures.picture import crop, read_picture
from core.pictures.pose import rings_upright
from core.pictures.upright import best_angle, colours_of, encoded, is_other_way, likeness, one_sided
from training.looking.survey import Picture
from training.settings import TrainingSettings

LOOKED_AT = 40
"""Pictures that are held against each other, spread over all."""
ALIKE = 0.5
"""Half of the pictures or more must be so alike the upright one, turned: what is on them tells how they lie."""
TURNED_DEGREES = 10
TURNED_SHARE = 0.1
"""How many round parts must be turned further than that against it: those that lie alike need no turning."""
TURNED_OVER_SHARE = 0.02
"""How many long parts must lie the other way round than their outlines say: one of those looked at."""


@dataclass(frozen=True)
class Upright:
    """The picture after which parts are turned."""

    path: Path
    shown: str
    """What is on it (core/pictures/upright.py)."""
    alike: float
    """Median likeness of the others, turned, to it."""
    turned: float
    """Share of them that lies otherwise: a round part turned by more than TURNED_DEGREES, a long one the other way
    round than its outline says."""
    is_round: bool

    @property
    def tells(self) -> bool:
        """Whether what is on the parts tells how they lie, and they lie in more than one way."""
        return self.alike >= ALIKE and self.turned >= (TURNED_SHARE if self.is_round else TURNED_OVER_SHARE)


def find_upright(pictures: Sequence[Picture], part_size: PartSize, roi: Roi | None, bits: int) -> Upright:
    """Find the picture to which the others, turned, are most alike, of parts that are cut out at `part_size`.

    `pictures`, of which each has an outline, are looked at again; `roi` and `bits` as in the survey.
    """
    looked_at = spread(pictures, LOOKED_AT)
    frames = (crop(read_picture(picture.path, bits), None if picture.is_cut else roi) for picture in looked_at)
    rings = [rings_upright(frame, part_size) for frame in frames]
    colours = [colours_of(each) for each in rings]
    is_round = part_size[0] == part_size[1]
    if is_round:
        alike = np.array([[likeness(one, upright) for one in colours] for upright in colours])
        best, turned = alike.max(axis=2), np.abs(np.degrees(np.apply_along_axis(best_angle, 2, alike))) > TURNED_DEGREES
    else:
        ends = np.array([one_sided(each).ravel() for each in colours])
        outlines_tell = [picture.outline is None or picture.outline.tells_ends_apart for picture in looked_at]
        best, turned = np.abs(ends @ ends.T), is_other_way(ends @ ends.T, outlines_tell)
    alone = ~np.eye(len(rings), dtype=bool)
    medians = np.array([np.median(row[others]) for row, others in zip(best, alone, strict=True)])
    chosen = int(np.argmax(medians))
    share = float(turned[chosen][alone[chosen]].mean())
    return Upright(looked_at[chosen].path, encoded(rings[chosen]), float(medians[chosen]), share, is_round)


def with_upright_read(settings: TrainingSettings) -> TrainingSettings:
    """Put in the place of the file `network.upright` what it shows, which goes with the model from here on.

    Raises ConfigError where it cannot be read, or shows no part.
    """
    network = settings.network
    if network.upright is None or len(network.upright) == UPRIGHT_CHARACTERS:
        return settings
    assert network.part_size is not None  # noqa: S101 - the settings refuse one without the other
    path = Path(network.upright)
    try:
        frame = crop(read_picture(place_of(network.upright), network.bits), network.roi)
        shown = encoded(rings_upright(frame, network.part_size))
    except DataError as error:
        raise ConfigError(f"`network.upright`: {about(path, error)}") from error
    return settings.model_copy(update={"network": network.model_copy(update={"upright": shown})})
