"""Sketch: how explanations are joined, chosen without any tested picture.

    python benchmarks/sketch_memory.py --mvtec DIR --sets SET ... --seeds 0 --what train
    python benchmarks/sketch_choice.py --sets SET ... --seeds 0 [--ways tw twcS ...] [--places 1000 2000]

Good pictures that train, each as what has not seen it judges it, against the same pictures with a generated defect
(benchmarks/unseen_defects.py), judged by the same; of cells beside it those that the experts were unsure of
(probability 1/3 and 2/3), each judged by one fold's detector as the good ones are. Ways: those of sketch_memory.py,
whose trainings are read below runs/memory. Figures are appended to benchmarks/results/choice.jsonl.
"""

import argparse
import os
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import cv2
import numpy as np
import torch
from machine import describe
from numpy.typing import NDArray
from quality import RESULTS, append_run, read_runs
from sketch_epochs import unsure_cells
from sketch_memory import BY_STAGE, PLACES, WAYS, WITH_LEARNED, errors_of, explanations, fine_places, runs_of
from sklearn.metrics import roc_auc_score
from unseen_defects import DEFECTS, Mask, Picture

from core.datasets.dataset import ELPV, training_samples
from core.datasets.frames import distinct, read_frames
from core.thresholds import calibrate, scores
from training.detector.checkpoint import load_checkpoint
from training.settings import TrainingSettings

PICTURES = 60
"""So many good ones get each kind of defect."""
UNSURE = "unsure"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["cookie", "metal_plate", "circuitboard"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="left out: the recipe's")
    parser.add_argument("--ways", nargs="+", default=WAYS + BY_STAGE, choices=WAYS + BY_STAGE + WITH_LEARNED)
    parser.add_argument("--places", nargs="+", type=int, default=[PLACES], help="remembered, of all folds together")
    parser.add_argument("--starts", nargs="+", type=int, default=[0], help="seeds by which places are chosen")
    arguments = parser.parse_args()
    log, epochs = RESULTS / "choice.jsonl", arguments.epochs
    keys = ("set", "seed", "epochs", "places", "start", "way")
    earlier = {"epochs": None, "places": PLACES, "start": 0}
    done = {tuple((earlier | run)[key] for key in keys) for run in read_runs(log)}
    for seed, name, *drawn in product(arguments.seeds, arguments.sets, arguments.places, arguments.starts):
        ways = [way for way in arguments.ways if (name, seed, epochs, *drawn, way) not in done]
        if ways:
            case = {"set": name, "seed": seed, "epochs": epochs, "places": drawn[0], "start": drawn[1]}
            for figures in choose(kept_with_made(name, seed, epochs), ways, *drawn):
                append_run(log, {**case, **figures, **describe("torch")})
                print({**case, **figures}, flush=True)


def kept_with_made(name: str, seed: int, epochs: int | None) -> dict[str, Any]:
    """What a training kept of its good pictures, and beside them the made ones, each of the fold of its original."""
    runs = runs_of(None, epochs)
    path = runs / "made" / f"{name}-{seed}.pt"
    if path.exists():
        made: dict[str, Any] = torch.load(path, weights_only=True)
        return made
    kept = torch.load(runs / "kept" / f"{name}-{seed}.pt", weights_only=True)
    settings = TrainingSettings.model_validate_json(kept["settings"])
    checkpoint = load_checkpoint(Path(settings.output) / "checkpoint")
    good = distinct(read_frames(training_samples(settings.data), settings.network.input))
    frames, originals, kinds = made_of(good.bgr_u8, kept, seed)
    folds = kept["fold"][originals].tolist()
    if name.startswith(ELPV):
        cells = read_frames(unsure_cells(name.removeprefix(ELPV)), settings.network.input).bgr_u8
        frames += list(cells)
        folds += [number % (int(kept["fold"].max()) + 1) for number in range(len(cells))]
        kinds += [UNSURE] * len(cells)
    inspector, far, maps, fine = checkpoint.inspector, [], [], []
    with torch.inference_mode():
        for frame, fold in zip(frames, folds, strict=True):
            images = inspector.network.images(torch.from_numpy(frame[None]))
            seen = inspector.network.maps(images)
            far.append(inspector.rebuilt(images, seen, fold, False)[0])
            maps.append(seen.half())
            fine.append(fine_places(inspector.network, images))
    together = {
        "fold": torch.cat([kept["fold"], torch.tensor(folds)]),
        "left_out": torch.cat([kept["left_out"], torch.ones(len(frames), dtype=torch.bool)]),
        "far": torch.cat([kept["far"], *far]),
        "maps": torch.cat([kept["maps"], *maps]),
        "fine": torch.cat([kept["fine"], *fine]),
        "kinds": kinds,
        "originals": torch.tensor(originals),
        **{key: kept[key] for key in ("judged", "settings", "channels", "stage_scale")},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(together, path)
    return together


def made_of(good_bgr_u8: Picture, kept: dict[str, Any], seed: int) -> tuple[list[Picture], list[int], list[str]]:
    """Pictures with a defect, their originals, and their kinds; of good ones that nobody doubts."""
    rng = np.random.default_rng(seed)
    held = [int(index) for index in kept["judged"] if not kept["left_out"][index]]
    frames, originals, kinds = [], [], []
    for index in rng.permutation(held)[:PICTURES]:
        area = part_of(good_bgr_u8[index])
        for kind, defect in DEFECTS.items():
            if kind == "missing" and area.all():
                continue
            frames.append(defect(good_bgr_u8[index], area, rng))
            originals.append(index)
            kinds.append(kind)
    return frames, originals, kinds


def part_of(picture_bgr_u8: Picture) -> Mask:
    """Where the part is: what differs from the picture's rim, as Otsu parts it; all of it where that is most of it."""
    rim = np.concatenate([picture_bgr_u8[:4].reshape(-1, 3), picture_bgr_u8[-4:].reshape(-1, 3)])
    far = np.abs(picture_bgr_u8.astype(np.float32) - np.median(rim, axis=0)).max(axis=2)
    _, differs = cv2.threshold(far.clip(0, 255).astype(np.uint8), 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(differs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    area = np.zeros(differs.shape, np.uint8)
    cv2.drawContours(area, [max(contours, key=cv2.contourArea)], -1, 1, -1)
    return area > 0 if 0.05 < area.mean() < 0.8 else np.ones(area.shape, bool)


def choose(kept: dict[str, Any], ways: list[str], places: int, start: int) -> list[dict[str, Any]]:
    """Figures of each way, with so many places, chosen from `start` on."""
    settings = TrainingSettings.model_validate_json(kept["settings"])
    none = {f"tested_{name}": kept[name][:1] for name in ("far", "maps", "fine")}
    found = explanations({**kept, **none}, set("".join(ways)), places, start=start)
    return [
        {"way": way, **figures_of(torch.stack([found[one][0].log() for one in way]).mean(dim=0).exp(), kept, settings)}
        for way in ways
    ]


def figures_of(error_maps: torch.Tensor, kept: dict[str, Any], settings: TrainingSettings) -> dict[str, Any]:
    """AUROC and misses of made pictures and unsure cells, at thresholds and at the good ones' own share."""
    errors, judged = errors_of(error_maps, settings), kept["judged"].numpy()
    rate = settings.false_reject_rate
    thresholds = calibrate(errors[judged], rate, kept["left_out"].numpy()[judged])
    told = scores(errors, thresholds)
    good, made, kinds = told[judged], told[-len(kept["kinds"]) :], np.array(kept["kinds"])
    own = np.sort(good)[::-1][round(rate * len(good))]
    figures: dict[str, Any] = {"odd": thresholds.odd}
    for name, chosen in (("made", kinds != UNSURE), (UNSURE, kinds == UNSURE)):
        if chosen.any():
            figures |= {
                f"{name}_auroc": against(good, made[chosen]),
                f"{name}_missed": float((made[chosen] <= 1).mean()),
            }
            figures[f"{name}_missed_at_own_share"] = float((made[chosen] <= own).mean())
    # How far a defect lifts a picture's own score, in deviations of good ones: it tells what a rank does not yet.
    of_made = told[len(kept["fold"]) - len(kinds) :][kinds != UNSURE]
    lift = np.log(of_made) - np.log(told[kept["originals"].numpy()])
    figures["lift"] = float(lift.mean() / (1.4826 * np.median(np.abs(np.log(good) - np.median(np.log(good))))))
    by_kind = {str(kind): against(good, made[kinds == kind]) for kind in dict.fromkeys(kinds) if kind != UNSURE}
    return {key: round(value, 4) for key, value in figures.items()} | {"by_kind": by_kind}


def against(good: NDArray[np.floating], bad: NDArray[np.floating]) -> float:
    """AUROC."""
    return round(float(roc_auc_score([0] * len(good) + [1] * len(bad), np.concatenate([good, bad]))), 4)


if __name__ == "__main__":
    main()
