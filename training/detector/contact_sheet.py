"""The contact sheet: input, reconstruction, and error map with its tiles, of chosen parts, two parts a line."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from core.datasets.frames import Frames
from core.printable import caption
from core.thresholds import ratios, scores
from training.detector.checkpoint import Checkpoint
from training.sheet import blank_sheet

_WIDE, _TITLE = 12.5, 0.5
"""Inches of the sheet, and of the lines above each part."""
_LONGEST = 28
"""Letters that stand over a picture."""


def clearest_and_worst(ranking: NDArray[np.float64], defective: NDArray[np.bool_], each: int = 2) -> list[int]:
    """Choose parts by score (N,): `each` clearest and worst good ones, and as many defective ones, in that order."""
    good, bad = (
        members[np.argsort(ranking[members])] for members in (np.flatnonzero(~defective), np.flatnonzero(defective))
    )
    chosen = [*good[:each], *good[::-1][:each], *bad[::-1][:each], *bad[:each]]
    return list(dict.fromkeys(int(i) for i in chosen))


@torch.inference_mode()
def draw_contact_sheet(
    checkpoint: Checkpoint, frames: Frames, chosen: Sequence[int], all_errors: NDArray[np.float64]
) -> Figure:
    """Draw the chosen parts. Failed tiles are framed in red; colours run from 0 to twice the largest threshold.

    `all_errors` (N, K + 1) of the frames say what failed: of a picture of the training, by who has not seen it.
    """
    shown = torch.from_numpy(frames.bgr_u8[list(chosen)])
    inspection = checkpoint.inspector.inspect(shown)
    errors = all_errors[list(chosen)]
    failed, ranking = ratios(errors, checkpoint.thresholds) > 1, scores(errors, checkpoint.thresholds)
    as_filmed = checkpoint.inspector.network.as_filmed(inspection.pixels, shown)
    pixels, maps = as_filmed.permute(0, 2, 3, 1).numpy(), inspection.error_map.numpy()
    ceiling = 2 * max(checkpoint.thresholds.values)

    lines = -(-len(chosen) // 2)
    height, width = frames.bgr_u8.shape[1:3]
    figure, axes = blank_sheet(_WIDE, (_WIDE / 6 * height / width + _TITLE) * lines, lines, 6)
    for place, i in enumerate(chosen):
        line, column = divmod(place, 2)
        input_axes, rebuilt_axes, map_axes = axes[line, 3 * column : 3 * column + 3]
        sample = frames.samples[i]
        input_axes.imshow(frames.bgr_u8[i][:, :, ::-1])
        title = "\n".join(caption(name, _LONGEST) for name in (sample.kind, sample.path.name))
        input_axes.set_title(title, fontsize=8, parse_math=False)
        rebuilt_axes.imshow(pixels[place])
        rebuilt_axes.set_title("reconstruction", fontsize=8)
        _draw_map(map_axes, maps[place], ceiling, failed[place], checkpoint.settings.network.grid)
        verdict = "NotOK" if failed[place].any() else "OK"
        map_axes.set_title(f"{verdict}: score {ranking[place]:.2f}", fontsize=8)
    return figure


def _draw_map(ax: Axes, error_map: NDArray[np.float32], ceiling: float, failed: NDArray[np.bool_], grid: int) -> None:
    """Draw one error map (h, w) with its tile grid; `failed` (K + 1,) has the whole image first."""
    height, width = error_map.shape
    ax.imshow(error_map, cmap="inferno", vmin=0, vmax=ceiling, extent=(0, width, height, 0))
    tile_height, tile_width = height / grid, width / grid
    # Red frames last, so that no white one lies over them.
    for k in np.argsort(failed[1:], kind="stable"):
        corner = ((k % grid) * tile_width, (k // grid) * tile_height)
        colour, line = ("red", 2.5) if failed[k + 1] else ("white", 0.5)
        ax.add_patch(Rectangle(corner, tile_width, tile_height, fill=False, edgecolor=colour, linewidth=line))
