"""A stream that is collected: the pictures that are kept of it in a folder, and how many were left out."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.files import write_whole
from core.pictures.geometry import Roi
from runtime.cameras.settings import CameraSettings
from runtime.collecting.selection import LEAST_SHARP, Blemish, Selection, sharpness
from runtime.parts.frame import Frame

REFERENCE = 20
"""This many pictures tell what is usual; those among them that are blurred are taken away again."""
QUICK = (cv2.IMWRITE_PNG_COMPRESSION, 1)


class Stream:
    """Its camera's thread takes frames in, everybody reads."""

    def __init__(self, name: str, settings: CameraSettings, roi: Roi | None, folder: Path, wanted: int) -> None:
        """Keep `wanted` pictures of the region `roi` in `folder`."""
        self.wanted = wanted
        self.last: NDArray[np.uint8] | None = None
        """The newest picture that was kept, (H, W, 3) or (H, W)."""
        self.left_out = Counter[str]()
        """By the reason."""
        self._name = name
        self._folder = folder
        self._selection = Selection(settings, roi)
        self._sharpness: dict[Path, float] = {}
        self._number = 0

    @property
    def kept(self) -> int:
        """How many pictures are in the folder."""
        return len(self._sharpness)

    @property
    def is_full(self) -> bool:
        """Whether no more are wanted."""
        return self.kept >= self.wanted

    def take(self, frame: Frame) -> None:
        """Keep a frame's picture, unless it is no use. Raises OSError where the disk does not take it."""
        pixels, why_not = self._selection.look(frame)
        if pixels is None or why_not is not None:
            self.left_out[str(why_not)] += 1
            return
        sharp = sharpness(pixels)
        if self.kept >= REFERENCE and sharp < self._least_sharp:
            self.left_out[Blemish.BLURRED] += 1
            return
        self._number += 1
        file = self._folder / f"{self._name}-{self._number:05}.png"
        _done, encoded = cv2.imencode(".png", pixels, QUICK)
        write_whole(file, encoded.tobytes())
        self._selection.keep()
        self._sharpness[file], self.last = sharp, pixels
        if self.kept in (REFERENCE, self.wanted):
            self.settle()

    def settle(self) -> None:
        """Take the blurred ones away again that were kept before it was known what is usual."""
        least = self._least_sharp if self._sharpness else 0.0
        for file in [file for file, sharp in self._sharpness.items() if sharp < least]:
            file.unlink(missing_ok=True)
            del self._sharpness[file]
            self.left_out[Blemish.BLURRED] += 1

    @property
    def _least_sharp(self) -> float:
        return LEAST_SHARP * float(np.median(list(self._sharpness.values())))
