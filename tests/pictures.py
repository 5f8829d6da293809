"""Small generated parts for tests: a shaded disc that varies from part to part, and the same with a scratch."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.datasets.remarks import Remark, Truth, save_remarks


def draw_part(seed: int, size: int = 48, defective: bool = False) -> NDArray[np.uint8]:
    """A BGR picture (size, size, 3) uint8 of a part."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    radius = 0.35 + rng.normal(0, 0.01)
    shade = np.where(np.hypot(x, y) < radius, 150 + 60 * x, 60) + rng.normal(0, 3, (size, size))
    part = np.clip(np.stack([shade * 0.9, shade, shade * 0.8], axis=2), 0, 255).astype(np.uint8)
    if defective:
        start = rng.integers(size // 3, size // 2, 2)
        end = start + size // 4
        cv2.line(part, tuple(map(int, start)), tuple(map(int, end)), (250, 250, 250), 3)
    return part


def write_parts(root: Path, train: int = 40, good: int = 12, defective: int = 8) -> Path:
    """Write a data set in MVTec layout below `root`, with masks; return `root`."""
    plan = (
        (root / "train" / "good", train, False),
        (root / "test" / "good", good, False),
        (root / "test" / "scratch", defective, True),
    )
    for offset, (folder, count, is_defective) in enumerate(plan):
        folder.mkdir(parents=True)
        for i in range(count):
            part = draw_part(1000 * offset + i, defective=is_defective)
            cv2.imwrite(str(folder / f"{i:03}.png"), part)
    masks = root / "ground_truth" / "scratch"
    masks.mkdir(parents=True)
    for i in range(defective):
        clean, scratched = draw_part(2000 + i), draw_part(2000 + i, defective=True)
        mask = (np.abs(clean.astype(int) - scratched).max(axis=2) > 30).astype(np.uint8) * 255
        cv2.imwrite(str(masks / f"{i:03}_mask.png"), mask)
    return root


def read_picture(file: Path | bytes) -> NDArray[np.uint8]:
    """Read a file, or its content, that has to be a picture (H, W, 3)."""
    content = file if isinstance(file, bytes) else file.read_bytes()
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def write_picture(path: Path, pixels: NDArray[np.unsignedinteger]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def remark_good(folder: Path, *names: str) -> None:
    """Note of pictures below `folder` that somebody has looked at them: good ones, and cut out by a model."""
    said = Remark(was=Truth.GOOD, by="Ada", note="", time="", event_id="1", verdict="NotOK", is_cut=True)
    save_remarks(folder, dict.fromkeys(names, said))
