"""Augmentation: further copies of good frames, moved as the part itself may lie under the camera."""

import cv2
import numpy as np
from numpy.typing import NDArray

from core.progress import counted
from training.settings import AugmentSettings


def with_copies(frames_bgr_u8: NDArray[np.uint8], settings: AugmentSettings, seed: int) -> NDArray[np.uint8]:
    """Append `copies` randomly moved copies of all frames (N, H, W, 3), the originals first; seeded.

    A rotated frame's corners repeat its border.
    """
    if not settings.copies:
        return frames_bgr_u8
    rng = np.random.default_rng(seed)
    copies = [frames_bgr_u8]
    for _ in counted(range(settings.copies), "augmenting"):
        copies.append(np.stack([_moved(frame, settings, rng) for frame in frames_bgr_u8]))
    return np.concatenate(copies)


def of_copies(pictures: NDArray[np.int64], settings: AugmentSettings, total: int) -> NDArray[np.int64]:
    """Say where some of `total` pictures stand among `with_copies`, and then where their copies do."""
    return (pictures + np.arange(1 + settings.copies)[:, None] * total).ravel()


def _moved(frame: NDArray[np.uint8], settings: AugmentSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    if settings.flip:
        frame = frame[:: rng.choice([1, -1]), :: rng.choice([1, -1])]
    if settings.rotate_degrees:
        height, width = frame.shape[:2]
        angle = rng.uniform(-settings.rotate_degrees, settings.rotate_degrees)
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
        turned = cv2.warpAffine(np.ascontiguousarray(frame), turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(turned, np.uint8)
    return np.ascontiguousarray(frame)
