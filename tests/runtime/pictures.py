"""Pictures of the test bundle's parts, good and bad, and the errors that it gives them."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = 48
"""Input height and width of the test bundle."""
GRID = 3
GOOD_GREY = 120
"""What a good part looks like to the test bundle: every value near this."""


def good_picture(seed: int, size: tuple[int, int] = (SIZE, SIZE)) -> NDArray[np.uint8]:
    """A good part (H, W, 3): even grey with a little noise."""
    noise = np.random.default_rng(seed).integers(-6, 7, (*size, 3))
    return (GOOD_GREY + noise).astype(np.uint8)


def bad_picture(seed: int, size: tuple[int, int] = (SIZE, SIZE)) -> NDArray[np.uint8]:
    """A defective part: a bright spot in the middle tile."""
    picture = good_picture(seed, size)
    height, width = size
    picture[height * 4 // 9 : height * 5 // 9, width * 4 // 9 : width * 5 // 9] = 255
    return picture


def expected_errors(frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The test model in NumPy: e_0 and e_1..e_9 of a frame (SIZE, SIZE, 3)."""
    error = (((frame.astype(np.float64) - GOOD_GREY) / 255) ** 2).mean(axis=2)
    tile = SIZE // GRID
    tiles = error.reshape(GRID, tile, GRID, tile).mean(axis=(1, 3)).ravel()
    return np.concatenate([[error.mean()], tiles])


def write_pictures(folder: Path, good: int, bad: int = 0) -> Path:
    """Write `good` good parts and then `bad` defective ones, in name order."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(good + bad):
        picture = good_picture(index) if index < good else bad_picture(index)
        assert cv2.imwrite(str(folder / f"{index:05}.png"), picture)
    return folder


def write_video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((48, 64, 3), number * 10, np.uint8))
    writer.release()
    return path
