"""The sheet: a figure with room for pictures in lines, and nothing around them."""

from typing import Any

from matplotlib.figure import Figure


def blank_sheet(width_inches: float, height_inches: float, lines: int, columns: int) -> tuple[Figure, Any]:
    """Give the figure, and an array (lines, columns) of its axes, without frames or ticks."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for ax in axes.flat:
        ax.set(frame_on=False, xticks=(), yticks=())  # axes that are merely off are laid out all the same
    return figure, axes
