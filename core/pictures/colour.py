"""Colour: whether a picture is grey or coloured, as far as that is clear. Pure."""

from collections.abc import Collection

import cv2
import numpy as np
from numpy.typing import NDArray

from core.pictures.exposure import is_black, is_overexposed

GREY, COLOURED = "grey", "coloured"
_GREY_BELOW, _COLOURED_FROM = 1.0, 4.0
"""Of 255 levels, by which the channels of a picture's areas differ on average. Between them is what may be either, as
a metal part before a white wall; parts that people call coloured have 10 and more."""
_SIDE = 16
"""Areas along a side whose means are compared: a sensor's noise, other in each channel, is no colour."""


def colour_of(frame_u8: NDArray[np.uint8]) -> str:
    """Give GREY or COLOURED of a picture (H, W, 3) or (H, W); empty where that is unclear, as of a black one."""
    height, width = frame_u8.shape[:2]
    few = np.asarray(
        cv2.resize(frame_u8, (min(width, _SIDE), min(height, _SIDE)), interpolation=cv2.INTER_AREA), np.uint8
    )
    if is_black(few) or is_overexposed(few):
        return ""
    if few.ndim == 2:
        return GREY
    blue, green, red = np.moveaxis(few.astype(np.int16), 2, 0)
    apart = (np.abs(blue - green) + np.abs(green - red) + np.abs(red - blue)).mean() / 2
    return GREY if apart < _GREY_BELOW else COLOURED if apart >= _COLOURED_FROM else ""


def other_colour(frame_u8: NDArray[np.uint8], known: Collection[str]) -> str:
    """Say that a picture is grey, and all that trained are `known` to be coloured, or the reverse; else empty."""
    colour = colour_of(frame_u8) if len(known) == 1 else ""
    return f"{colour}, and what trained {', '.join(known)}" if colour and colour not in known else ""
