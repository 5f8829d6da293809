"""Sketch: pictures laid onto a usual good one before they are judged, where all show nearly the same.

    python benchmarks/sketch_aligned.py --mvtec DIR [--sets circuitboard "middle of a board" label] [--seeds 0]

Each set is trained on twice: as `train-model init` has it (cut out and turned where it says so), and the same pictures
each moved, turned and scaled onto the most usual good one (ECC, an affine motion, at 256 pixels; as they are where
that finds none). Beside the recipe (`twcS`) stand ways of judging that know where a place lies: P, the squared
distance to the nearest of the other folds' good pictures within one place of there, and Q, the same of the first
stage's places, three times as many a side, the worst of nine. Figures are appended to
benchmarks/results/aligned.jsonl.
"""

import os
import shutil
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import cv2
import numpy as np
import torch
from machine import describe
from numpy.typing import NDArray
from quality import RESULTS, append_run, configured, overlay, parser_of_sets, read_runs, recipe_for
from sketch_doubted import Prepared
from sketch_memory import FINE, PLACES, Both, explanations, keep, weigh
from sketch_unseen import ALL, lay_out
from torch import Tensor
from torch.nn.functional import max_pool2d, pad
from unseen_sets import BITS

from core.config import parse_settings
from core.datasets.dataset import ELPV, labelled_samples, training_samples
from core.datasets.layout import GOOD
from core.pictures.picture import cut, read_picture
from training.looking.upright import with_upright_read
from training.settings import TrainingSettings

RUNS = Path("runs/aligned")
SEARCHED = 256
"""Pixels of the longer side."""
MOST_TURNED = 0.15
"""Of the motion's linear part: what turns or scales a picture more is no motion of it."""
WAYS = ["twcS", "twcSP", "twcSQ", "twcSPQ", "wSPQ"]


def main() -> None:
    parser = parser_of_sets(__doc__)
    parser.add_argument("--as-they-are", action="store_true", help="the pictures as they are alone")
    arguments = parser.parse_args()
    log = RESULTS / "aligned.jsonl"
    done = {(run["set"], run["seed"], run["aligned"]) for run in read_runs(log)}
    given = (arguments.seeds, arguments.sets, (False,) if arguments.as_they_are else (False, True))
    for seed, name, is_aligned in product(*given):
        if (name, seed, is_aligned) in done:
            continue
        folder = RUNS / name / f"{seed}{'-aligned' if is_aligned else ''}"
        settings, alike = prepared(name, arguments.mvtec, seed, folder, is_aligned)
        kept = folder / "kept.pt"
        keep(Prepared(folder, str(folder / "pictures"), set(), set(), settings), seed, kept)
        content = torch.load(kept, weights_only=True)
        found = explanations(content, set("twcS"), PLACES)
        found["P"] = at_their_place(content, *whole_maps(content))
        own, fresh = at_their_place(content, content["fine"].float(), content["tested_fine"].float())
        found["Q"] = max_pool2d(own[:, None], FINE)[:, 0], max_pool2d(fresh[:, None], FINE)[:, 0]
        case = {"set": name, "seed": seed, "aligned": is_aligned, "alike": alike}
        for figures in weigh(content, found, WAYS):
            append_run(log, {**case, **figures, **describe("torch")})
            print({**case, **figures}, flush=True)
        kept.unlink()


def prepared(name: str, mvtec: Path, seed: int, folder: Path, is_aligned: bool) -> tuple[TrainingSettings, float]:
    """Lay a set out as the model would see it, cut out; with how alike the usual one its pictures are at their best."""
    shutil.rmtree(folder, ignore_errors=True)
    if name in ALL:
        data = str(folder / "whole")
        lay_out(name, mvtec, seed, folder / "whole", False)
        advised = configured(data, name, "recipe", BITS.get(name))
    else:
        data = name if name.startswith(ELPV) else str(mvtec / name)
        advised = recipe_for(data, name)
    changes: dict[str, Any] = {"data": data, "seed": seed, "output": str(folder), "loss": {"pixels": 0}}
    whole = with_upright_read(parse_settings(overlay(advised, changes), TrainingSettings, name))
    seen = whole.network.input
    good, tested = training_samples(data), labelled_samples(data)
    pictures = [cut(read_picture(sample.path), seen.roi, seen.pose) for sample in (*good, *tested)]
    usual = pictures[most_usual(pictures[: len(good)])]
    folders = [*(f"train/{GOOD}" for _ in good), *(f"test/{sample.kind}" for sample in tested)]
    found = []
    for number, (below, picture) in enumerate(zip(folders, pictures, strict=True)):
        laid, alike = onto(usual, picture)
        found.append(alike)
        path = folder / "pictures" / below / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), laid if is_aligned else picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    size = {"height": whole.network.height, "width": whole.network.width}
    changes |= {"name": whole.name, "data": str(folder / "pictures"), "network": size}
    changes["false_reject_rate"] = whole.false_reject_rate
    return parse_settings(changes, TrainingSettings, name), round(float(np.median(found)), 3)


def most_usual(good: list[NDArray[np.uint8]]) -> int:
    """Say which of the first hundred pictures correlates most with the others."""
    shape = searched_shape(good[0])
    small = np.stack([searched(picture, shape).ravel() for picture in good[:100]])
    return int(np.argmax(np.median(np.corrcoef(small), axis=1)))


def onto(usual: NDArray[np.uint8], picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Move a picture onto the usual one, with how both correlate then; it is as it was where no motion is found."""
    shape = searched_shape(usual)
    wanted, given = searched(usual, shape), searched(picture, shape)
    (x, y), _ = cv2.phaseCorrelate(wanted, given, cv2.createHanningWindow(shape[::-1], cv2.CV_32F))
    alike, motion = float(np.corrcoef(wanted.ravel(), given.ravel())[0, 1]), np.eye(2, 3)
    for start in (np.eye(2, 3), np.array([[1, 0, x], [0, 1, y]])):
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)
        mask = np.full(shape, 255, np.uint8)
        try:
            found, moved = cv2.findTransformECC(
                wanted, given, start.astype(np.float32), cv2.MOTION_AFFINE, criteria, mask, 5
            )
        except cv2.error:  # it does not converge
            continue
        if found > alike and np.abs(np.asarray(moved)[:, :2] - np.eye(2)).max() < MOST_TURNED:
            alike, motion = found, np.asarray(moved, float)
    to_small = np.diag([shape[1] / usual.shape[1], shape[0] / usual.shape[0], 1.0])
    to_whole = np.diag([picture.shape[1] / shape[1], picture.shape[0] / shape[0], 1.0])
    whole = (to_whole @ np.vstack([motion, [0, 0, 1]]) @ to_small)[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(picture, whole, usual.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, np.uint8), alike


def searched_shape(picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Rows and columns at which a motion is looked for."""
    scale = SEARCHED / max(picture.shape[:2])
    return round(picture.shape[0] * scale), round(picture.shape[1] * scale)


def searched(picture: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Give a picture (H, W, 3) grey and smoothed, of that shape."""
    small = cv2.cvtColor(cv2.resize(picture, shape[::-1], interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1.0), np.float32)


def whole_maps(content: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The whole picture's maps, each stage weighing the same, as S has them."""
    channels = content["channels"][: len(content["channels"]) // 2]
    seen = sum(channels)
    first = content["maps"].shape[1] - seen
    both = []
    for each in (content["maps"], content["tested_maps"]):
        parts = torch.split(each[:, first : first + seen].float(), channels, dim=1)
        both.append(torch.cat([part / (len(channels) * part.shape[1]) ** 0.5 for part in parts], dim=1))
    return both[0], both[1]


def at_their_place(content: dict[str, Any], maps: Tensor, tested: Tensor) -> Both:
    """Squared distances (N, h, w) to the nearest place of other folds' good pictures within one place of there."""
    fold, left_out = content["fold"], content["left_out"]
    folds = range(int(fold.max()) + 1)

    def nearest(one: Tensor, memory: Tensor) -> Tensor:
        height, width = one.shape[1:]
        around = pad(memory, (1, 1, 1, 1), mode="replicate")
        moved = [
            (around[:, :, row : row + height, column : column + width] - one).square().sum(dim=1).amin(dim=0)
            for row in range(3)
            for column in range(3)
        ]
        return torch.stack(moved).amin(dim=0)

    own = torch.stack([nearest(one, maps[(fold != fold[index]) & ~left_out]) for index, one in enumerate(maps)])
    memories = [maps[(fold != group) & ~left_out] for group in folds]
    fresh = torch.stack([torch.stack([nearest(one, memory) for memory in memories]).mean(dim=0) for one in tested])
    return own, fresh


if __name__ == "__main__":
    main()
