"""A backend of your own: one that compares with a golden picture. `python backend.py BUNDLE GOLDEN PICTURES`.

BUNDLE gives size, grid and thresholds; a real backend computes its `model.onnx`. See runtime/inference/backend.py.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.datasets.dataset import labelled_samples
from core.datasets.frames import read_frames
from core.pictures.picture import read_picture
from runtime.batching.fitting import fit_on_cpu
from runtime.bundles.bundle import load_bundle
from runtime.inference.backend import Backend, Pending, require_batch
from runtime.parts.verdict import judge


class Compared:
    """A batch that was compared at once: nothing of it is under way any more."""

    def __init__(self, error_maps: NDArray[np.float32], grid: int) -> None:
        self._maps, self._grid = error_maps, grid

    def errors(self) -> NDArray[np.float32]:
        """e_0 of the picture, then of its tiles, row-major."""
        batch, height, width = self._maps.shape
        tiles = self._maps.reshape(batch, self._grid, height // self._grid, self._grid, width // self._grid)
        image = self._maps.mean(axis=(1, 2)).reshape(batch, 1)
        return np.concatenate([image, tiles.mean(axis=(2, 4)).reshape(batch, -1)], axis=1)

    def error_maps(self) -> NDArray[np.float32]:
        return self._maps


class GoldenBackend:
    """Errors are squared differences from one good picture (H, W, 3)."""

    name = kind = "golden-picture"
    engine_sha256: str | None = None
    gpu_memory = ""
    depth = 1
    fit = staticmethod(fit_on_cpu)

    def __init__(self, golden_bgr_u8: NDArray[np.uint8], grid: int, max_batch: int) -> None:
        self.max_batch = max_batch
        self._golden, self._grid = golden_bgr_u8.astype(np.float32), grid

    def new_batch(self) -> NDArray[np.uint8]:
        return np.zeros((self.max_batch, *self._golden.shape), np.uint8)

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        require_batch(frames_bgr_u8, (self.max_batch, *self._golden.shape))
        difference = (frames_bgr_u8.astype(np.float32) - self._golden) / 255
        return Compared(np.square(difference).mean(axis=3), self._grid)

    def close(self) -> None:
        """Nothing is held."""


if __name__ == "__main__":
    manifest = load_bundle(Path(sys.argv[1])).manifest
    picture = read_picture(Path(sys.argv[2]))
    golden = cv2.resize(picture, (manifest.width, manifest.height), interpolation=cv2.INTER_AREA)
    read = read_frames(labelled_samples(sys.argv[3]), manifest.input)
    backend: Backend = GoldenBackend(np.asarray(golden, np.uint8), manifest.grid, max_batch=len(read.bgr_u8))
    errors = backend.submit(read.bgr_u8).errors()
    for sample, row in zip(read.samples, errors, strict=True):
        print(sample.path.name, judge(row, manifest.thresholds).verdict.word)
