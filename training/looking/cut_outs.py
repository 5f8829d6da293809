"""The sheet of cut-outs: what `part_size` and `upright` make of pictures, for somebody to look at before training."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from core.datasets.dataset import spread
from core.errors import PartNotFoundError
from core.pictures.geometry import Pose, Roi
from core.pictures.picture import crop, read_picture
from core.pictures.pose import cut_out, locate
from core.printable import caption
from training.looking.survey import Picture
from training.sheet import blank_sheet

SHOWN = 24
COLUMNS = 4
_HEAD = "Parts cut out, those of the most unusual size first. Is each whole, and do all lie alike?"
_HEAD_INCHES = 0.4


def draw_cut_outs(pictures: Sequence[Picture], pose: Pose, roi: Roi | None, bits: int = 16) -> Figure:
    """Draw the cut-outs whose outlines differ most from the usual, then an even choice of the others.

    What a model cut out is not cut again, and not drawn, unless there is nothing else.
    """
    whole = [picture for picture in pictures if not picture.is_cut] or pictures
    found = [(picture, picture.outline.extents) for picture in whole if picture.outline]
    extents = np.array([size for _, size in found])
    usual = np.median(extents, axis=0)
    order = np.argsort(-np.abs(extents / usual - 1).max(axis=1))
    most, rest = order[: SHOWN // 2], np.sort(order[SHOWN // 2 :])
    evenly = spread(rest.tolist(), SHOWN // 2) if len(rest) else []
    chosen = [found[index][0] for index in (*most, *evenly)]
    lines = -(-len(chosen) // COLUMNS)
    high = (3.2 * pose.size[1] / pose.size[0] + 0.35) * lines + _HEAD_INCHES
    figure, axes = blank_sheet(3.2 * COLUMNS, high, lines, COLUMNS)
    figure.suptitle(_HEAD, fontsize=12)
    for ax, picture in zip(axes.flat, chosen, strict=False):
        title = picture.path.name
        try:
            frame = crop(read_picture(picture.path, bits), None if picture.is_cut else roi)
            ax.imshow(cut_out(frame, locate(frame, pose), pose.size)[:, :, ::-1])
        except PartNotFoundError as error:
            title += f": {error}"
        ax.set_title(caption(title), fontsize=7, parse_math=False)
    return figure
