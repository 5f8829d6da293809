"""The pose of a part that may lie at any angle: where it is in the picture, and how it is cut out lying straight.

For parts alone on a background of one colour: those longer than wide with one end heavier than the other (screws,
bolts, boards), and round or square ones with something on them that tells how they lie (caps, cables).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import PartNotFoundError
from core.pictures.geometry import PartSize, Pose
from core.pictures.upright import lies_other_way, rings_of, turned_by

SEARCHED_PIXELS = 512
"""The part is looked for in a picture of at most this many pixels a side; it is cut out of the whole one."""
LEAST_SIDE = 8
"""Pixels a side, of the searched picture, below which border and part cannot be told apart."""
LEAST_CONTRAST = 16
"""Distance in BGR, in levels, by which a part must differ from its background."""
LEAST_SKEWNESS = 0.02
"""Of a part's area along its axis: below it which end is heavier is decided by chance."""
LEAST_SHARE = 0.1
"""Share of the cut-out's area that a part must fill: what is smaller is dirt."""


@dataclass(frozen=True, eq=False)
class Outline:
    """The part of a frame as an oriented box, in pixels of the frame."""

    extents: tuple[float, float]
    """Length, along the principal axis, and breadth."""
    axis_ratio: float
    """Root of the ratio of the area's second moments about its principal axes, 1 or above; 1 is round or square."""
    share: float
    """Share of the picture that the part fills, 0 to 1."""
    second: float
    """Area of the next largest region that differs from the border, over the part's, 0 to 1: another part beside it?"""
    others: float
    """Area of the other regions that differ from the border and lie outside of the box, over the part's: pieces of it,
    which are not found?"""
    touches_border: bool
    skewness: float
    """Of its area along the axis, 0 or above; 0: both ends weigh alike."""
    axes: NDArray[np.float64]
    """(2, 2): unit vectors (x, y) as columns, from the heavier end along the length, and across it."""
    middle: NDArray[np.float64]
    """(2,): x, y of the middle of the extents."""

    @property
    def tells_ends_apart(self) -> bool:
        """Whether one end is heavier than the other."""
        return self.skewness >= LEAST_SKEWNESS


def outline(frame_bgr_u8: NDArray[np.uint8]) -> Outline:
    """Find the part in a frame (H, W, 3): the largest region whose colour differs from the border's median colour.

    Raises PartNotFoundError where the picture is thin or of one colour.
    """
    height, width = frame_bgr_u8.shape[:2]
    scale = min(1.0, SEARCHED_PIXELS / max(height, width))
    shape = round(height * scale), round(width * scale)
    if min(shape) < LEAST_SIDE:
        raise PartNotFoundError(f"no part found: a picture of {width} x {height} pixels is too thin to look for one.")
    small = cv2.resize(frame_bgr_u8, shape[::-1], interpolation=cv2.INTER_AREA)
    _, labels, statistics, centroids = cv2.connectedComponentsWithStats(_unlike_border(np.asarray(small, np.uint8)))
    areas = statistics[1:, cv2.CC_STAT_AREA]
    largest = 1 + int(np.argmax(areas))
    left, top, columns_spanned, rows_spanned, area = (int(number) for number in statistics[largest])
    rows, columns = np.nonzero(labels == largest)
    # A pixel of the smaller picture covers several of the frame: its middle is meant.
    step = np.array([width / shape[1], height / shape[0]])
    points = (np.stack([columns, rows], axis=1) + 0.5) * step - 0.5
    centre = points.mean(axis=0)
    points -= centre
    # A pixel is a square with moments of its own: so a part one pixel wide has a width too.
    moments = points.T @ points / len(points) + np.diag(step**2 / 12)
    (least, greatest), vectors = np.linalg.eigh(moments)
    axis = vectors[:, 1]
    reached = points @ np.stack([axis, [-axis[1], axis[0]]], axis=1)
    along = reached[:, 0]
    skewness = float((along * along * along).mean() / (along * along).mean() ** 1.5)
    # The thin end reaches farther from the centre of mass than the heavy one.
    if skewness < 0:
        axis, reached = -axis, -reached
    axes = np.stack([axis, [-axis[1], axis[0]]], axis=1)
    lowest, highest = reached.min(axis=0), reached.max(axis=0)
    length, breadth = (highest - lowest + step.mean()).tolist()
    inside = left > 0 and top > 0 and left + columns_spanned < shape[1] and top + rows_spanned < shape[0]
    middle = centre + axes @ ((lowest + highest) / 2)
    is_outside = (np.abs(((centroids[1:] + 0.5) * step - 0.5 - middle) @ axes) > (highest - lowest) / 2).any(axis=1)
    return Outline(
        extents=(length, breadth),
        axis_ratio=float(np.sqrt(greatest / least)),
        share=area / (shape[0] * shape[1]),
        second=float(np.partition(areas, -2)[-2] / area) if len(areas) > 1 else 0.0,
        others=float(areas[is_outside].sum() / area),
        touches_border=not inside,
        skewness=abs(skewness),
        axes=axes,
        middle=middle,
    )


def _unlike_border(frame_bgr_u8: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mark (H, W) with 255 what differs in colour from its border. Raises PartNotFoundError where all is alike."""
    colours = cv2.GaussianBlur(frame_bgr_u8, (0, 0), 2).astype(np.float32)
    border = np.concatenate([colours[0], colours[-1], colours[:, 0], colours[:, -1]])
    from_border = colours - np.median(border, axis=0)
    distances = np.sqrt(np.einsum("hwc,hwc->hw", from_border, from_border))
    if distances.max() < LEAST_CONTRAST:
        raise PartNotFoundError("no part found: the picture is of one colour.")
    difference = np.minimum(distances, 255).astype(np.uint8)
    return np.asarray(cv2.threshold(difference, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1], np.uint8)


def locate(frame_bgr_u8: NDArray[np.uint8], pose: Pose) -> NDArray[np.float64]:
    """Find the part in a frame (H, W, 3): the (2, 3) matrix that takes a pixel of the cut-out to one of the frame.

    The part's principal axis becomes the cut-out's length, its heavier end comes left, or the end that makes it alike
    the upright one; a round or square part is turned until it is most alike that one. The middle of its extents comes
    to the middle. Raises PartNotFoundError.
    """
    part, part_size = outline(frame_bgr_u8), pose.size
    if part.share * frame_bgr_u8.shape[0] * frame_bgr_u8.shape[1] < LEAST_SHARE * part_size[0] * part_size[1]:
        raise PartNotFoundError(f"no part found: nothing fills a tenth of {part_size[0]} x {part_size[1]} pixels.")
    axes = part.axes
    if pose.upright is not None:
        seen = _rings(frame_bgr_u8, part, part_size)
        if part_size[0] == part_size[1]:
            angle = turned_by(seen, pose.upright)
            along = np.array([np.cos(angle), np.sin(angle)])
            axes = np.stack([along, [-along[1], along[0]]], axis=1)
        elif lies_other_way(seen, pose.upright, part.tells_ends_apart):
            axes = -axes
    return _place(part, axes, part_size)


def rings_upright(frame_bgr_u8: NDArray[np.uint8], part_size: PartSize) -> NDArray[np.uint8]:
    """See the part of a frame (H, W, 3), ring by ring, as the upright one. Raises PartNotFoundError."""
    return _rings(frame_bgr_u8, outline(frame_bgr_u8), part_size)


def _rings(frame_bgr_u8: NDArray[np.uint8], part: Outline, part_size: PartSize) -> NDArray[np.uint8]:
    """See the part ring by ring: a long one along its axis and nothing beside it, a round one as it lies."""
    length, square = part_size[0], (part_size[0], part_size[0])
    if length == part_size[1]:
        return rings_of(cut_out(frame_bgr_u8, _place(part, np.eye(2), square), square))
    seen = cut_out(frame_bgr_u8, _place(part, part.axes, square), square)
    return rings_of(seen, (part.extents[0] / length, part.extents[1] / length))


def _place(part: Outline, axes: NDArray[np.float64], size: PartSize) -> NDArray[np.float64]:
    corner = part.middle - axes @ ((np.array(size) - 1) / 2)
    return np.column_stack([axes, corner])


def cut_out(picture: NDArray[np.uint8], place: NDArray[np.float64], part_size: PartSize) -> NDArray[np.uint8]:
    """Cut the part out of its picture, or of that picture's mask: (breadth, length, 3). `place` comes from `locate`."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(picture, place, part_size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)
