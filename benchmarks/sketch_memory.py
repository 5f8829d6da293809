"""Sketch: a memory of good places beside the decoders, joined place by place, before any error is taken.

    python benchmarks/sketch_memory.py --mvtec DIR [--sets cookie ...] [--seeds 0 1 2] [--planted] --what train
    python benchmarks/sketch_memory.py --mvtec DIR [--sets cookie ...] [--seeds 0 1 2] [--planted] --what weigh
    ... --what weigh --ways twcS --places 4000 --axes 128    # more places, told apart by fewer numbers
    ... --form "192/72, 3 5 6 7/3, 4 folds, 64"    # of sketch_forms.py: the whole picture alone, ways w, wC, wS, wCS

`train` trains the recipe without pixels, which only people look at, and keeps what the decoders and the encoder say of
every picture below runs/memory. `weigh` joins both in several ways on what is kept, each with thresholds set as a
training sets them, and appends the figures to benchmarks/results/memory_beside.jsonl. Explanations, whose geometric
mean is taken: t, w: the tiles' and the whole picture's maps rebuilt; c, C: their places' distance (1 - cosine, a
stage at a time) from the nearest of `--places` places of the other folds' pictures; s, S: the same by the mean squared
difference; a, A, B: the tiles' places by cosine, the whole picture's by the mean squared difference and by cosine, each
stage's from the nearest of a memory of its own, and of that the mean over the stages; D: what discriminators say that
learned from the whole picture's places of the other folds; F: the same of its first stage at three times as many places
a side, the most disturbed of nine.
"""

import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np
import torch
from discriminator import LEARNED, trained
from machine import describe
from quality import RESULTS, append_run, parser_of_sets, read_runs
from sketch_doubted import Prepared, prepared
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import max_pool2d, normalize

from assessment.decidable import decidable
from core.datasets.dataset import labelled_samples, training_samples
from core.datasets.frames import distinct, read_frames
from core.datasets.layout import GOOD
from core.thresholds import calibrate, scores
from training.detector.checkpoint import load_checkpoint
from training.detector.memory import LEAST, PROJECTED, k_center
from training.fitting.training_set import prepare
from training.folds import assign
from training.network.network import Network
from training.network.resize import resize
from training.network.tiles import split
from training.session import train
from training.settings import TrainingSettings

RUNS = Path("runs/memory")
PLACES = 1000
WAYS = ("w", "wC", "wS", "wCS", "wcCS", "tw", "twC", "twS", "twcC", "twcS", "twcCS", "cC", "cS")
HALF = ("twwccSS", "twwccCCSS")
"""What stands twice counts twice: here the tiles rebuilt count half."""
BY_STAGE = ("twcA", "twaA", "waA", "waBA", "wBA", "wA", "aA")
FINE = 3
WITH_LEARNED = ("twcSF", "twcSDF", "twcCSF", "twcCSDF", "twD", "twSD", "twcSD", "twcCSD", "wSD", "wcSD", "wCSD")
Both = tuple[Tensor, Tensor]
"""Of the good pictures, each by what has not seen it, and of the tested ones."""


def main() -> None:
    parser = parser_of_sets(__doc__)
    parser.add_argument("--planted", action="store_true", help="one in twenty of the good pictures a defective one")
    parser.add_argument("--form", help="left out: the recipe")
    parser.add_argument("--epochs", type=int, help="left out: the recipe's")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS + HALF + BY_STAGE + WITH_LEARNED)
    parser.add_argument("--places", type=int, default=PLACES, help="remembered, of all folds together")
    parser.add_argument("--starts", nargs="+", type=int, default=[0], help="seeds by which places are chosen")
    parser.add_argument("--axes", type=int, help="along which places are told apart; left out: by all channels")
    parser.add_argument("--what", choices=["train", "weigh"], required=True)
    arguments = parser.parse_args()
    keys = ("form", "epochs", "set", "seed", "planted", "places", "axes", "start", "way")
    earlier = {"form": None, "epochs": None, "places": PLACES, "axes": None, "start": 0}
    done = {tuple((earlier | run)[key] for key in keys) for run in read_runs(RESULTS / "memory_beside.jsonl")}
    runs = runs_of(arguments.form, arguments.epochs)
    for seed, name in product(arguments.seeds, arguments.sets):
        kept = runs / "kept" / f"{name}-{seed}{'-planted' if arguments.planted else ''}.pt"
        if arguments.what == "train" and not kept.exists():
            given = (arguments.planted, arguments.form, arguments.epochs)
            keep(prepared(runs, name, arguments.mvtec, seed, *given), seed, kept)
            print(kept, flush=True)
        if arguments.what == "weigh" and kept.exists():
            content = torch.load(kept, weights_only=True)
            training = {"form": arguments.form, "epochs": arguments.epochs, "set": name, "seed": seed}
            asked = {"planted": arguments.planted, "places": arguments.places, "axes": arguments.axes}
            for start in arguments.starts:
                case = {**training, **asked, "start": start}
                ways = [way for way in arguments.ways if (*case.values(), way) not in done]
                found = explanations(content, set("".join(ways)), arguments.places, arguments.axes, start)
                for figures in weigh(content, found, ways):
                    append_run(RESULTS / "memory_beside.jsonl", {**case, **figures, **describe("torch")})
                    print({**case, **figures}, flush=True)


def runs_of(form: str | None, epochs: int | None) -> Path:
    """Where trainings of a form lie, the recipe's or with so many epochs."""
    return RUNS / ((form or "recipe").replace("/", "-") + (f", {epochs} epochs" if epochs else ""))


def keep(ready: Prepared, seed: int, path: Path) -> None:
    """Train once, and keep the maps of the good and the tested pictures, and what the decoders say of them."""
    checkpoint = load_checkpoint(train(ready.settings))
    inspector, chosen = checkpoint.inspector, ready.settings.network
    good = distinct(read_frames(training_samples(ready.settings.data), chosen.input))
    tested = decidable(read_frames(labelled_samples(ready.data), chosen.input))
    held_out = assign(np.arange(len(good.samples)), ready.settings)
    judged = np.concatenate(held_out)
    left_out = np.zeros(len(judged), bool)
    left_out[judged] = checkpoint.calibration.doubted
    fold = np.zeros(len(judged), np.int64)
    for number, held in enumerate(held_out):
        fold[held] = number
    dataset = prepare(inspector.network, good.bgr_u8, None, seed)
    inspector.eval()
    far, maps, fine = [], [], []
    with torch.inference_mode():
        for index in range(len(good.samples)):
            [(images, seen)] = dataset.batches(np.array([index]))
            far.append(inspector.rebuilt(images, seen, int(fold[index]), False)[0])
            maps.append(seen.half())
            fine.append(fine_places(inspector.network, images))
        tested_far, tested_maps, tested_fine = [], [], []
        for frame in tested.bgr_u8:
            images = inspector.network.images(torch.from_numpy(frame[None]))
            seen = inspector.network.maps(images)
            members = range(len(held_out))
            each = torch.stack([inspector.rebuilt(images, seen, member, False)[0] for member in members])
            tested_far.append(each.mean(dim=0))
            tested_maps.append(seen.half())
            tested_fine.append(fine_places(inspector.network, images))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "fold": torch.from_numpy(fold),
            "left_out": torch.from_numpy(left_out),
            "far": torch.cat(far),
            "maps": torch.cat(maps),
            "tested_far": torch.cat(tested_far),
            "tested_maps": torch.cat(tested_maps),
            "fine": torch.cat(fine),
            "tested_fine": torch.cat(tested_fine),
            "defective": torch.tensor([sample.kind != GOOD for sample in tested.samples]),
            "not_tested": torch.tensor([sample.path in ready.tested_not for sample in tested.samples]),
            "planted": torch.tensor([sample.path.name in ready.planted for sample in good.samples]),
            "stage_scale": inspector.stage_scale[: far[0].shape[1]],
            "judged": torch.from_numpy(judged),
            "settings": ready.settings.model_dump_json(),
            "channels": inspector.network.feature_channels,
        },
        path.with_suffix(".part"),
    )
    path.with_suffix(".part").replace(path)


def fine_places(network: Network, images: Tensor) -> Tensor:
    """The whole picture's first stage (N, C, FINE*h, FINE*w), half precision."""
    height, width = (FINE * network.settings.grid * side for side in network.map_size)
    stage = network.settings.encoder.stages[0]
    return resize(network.encoder(images, stage)[stage - 1], height, width).half()


def weigh(kept: dict[str, Any], found: dict[str, Both], ways: list[str]) -> list[dict[str, Any]]:
    """Figures of each way of which all explanations were `found`."""
    settings = TrainingSettings.model_validate_json(kept["settings"])
    figures = []
    judged, tested = kept["judged"], ~kept["not_tested"].numpy()
    defective = kept["defective"].numpy()[tested]
    for way in (way for way in ways if set(way) <= set(found)):
        of_good, of_tested = (torch.stack([found[one][side].log() for one in way]).mean(dim=0).exp() for side in (0, 1))
        doubted = kept["left_out"][judged].numpy()
        thresholds = calibrate(errors_of(of_good[judged], settings), settings.false_reject_rate, doubted)
        told = scores(errors_of(of_tested, settings)[tested], thresholds)
        good, bad = np.sort(told[~defective])[::-1], told[defective]
        numbers = {
            "auroc": roc_auc_score(defective, told),
            "false_reject_rate": (good > 1).mean(),
            "miss_rate": (bad <= 1).mean(),
            "miss_rate_at_the_tests_own_share": (bad <= good[round(settings.false_reject_rate * len(good))]).mean(),
        }
        rounded = {name: round(float(number), 4) for name, number in numbers.items()}
        figures.append({"way": way, **rounded, "odd": thresholds.odd, "parts": len(judged)})
    return figures


def explanations(
    kept: dict[str, Any], wanted: set[str], places: int, axes: int | None = None, start: int = 0
) -> dict[str, Both]:
    """Error maps of the good and the tested pictures, by the letters `wanted`: so many places, by so many axes.

    `start` seeds the choice of places.
    """
    network = TrainingSettings.model_validate_json(kept["settings"]).network
    sources = ["w"] if network.encoder.tile_stages else ["t", "w"]
    channels = kept["channels"][: len(kept["channels"]) // len(sources)]
    stages, seen = len(channels), sum(channels)
    found = {}
    for number, source in enumerate(sources):
        rebuilt = slice(number * stages, (number + 1) * stages)
        far, tested_far = ((kept[name] / kept["stage_scale"])[:, rebuilt] for name in ("far", "tested_far"))
        found[source] = far.mean(dim=1), tested_far.mean(dim=1)
        first = kept["maps"].shape[1] - (len(sources) - number) * seen
        maps, tested = (kept[name][:, first : first + seen].float() for name in ("maps", "tested_maps"))
        of_stages = [[part / stages**0.5 for part in torch.split(each, channels, dim=1)] for each in (maps, tested)]
        unit = [torch.cat([normalize(part, dim=1) / stages**0.5 for part in parts], dim=1) for parts in of_stages]
        level = [torch.cat([part / part.shape[1] ** 0.5 for part in parts], dim=1) for parts in of_stages]
        for letter, vectors in zip("cs" if source == "t" else "CS", (unit, level), strict=True):
            if letter in wanted:
                found[letter] = remembered(kept, places, start, *along(kept, axes, *vectors))
        for letter, vectors in {"a": unit}.items() if source == "t" else {"B": unit, "A": level}.items():
            if letter in wanted:
                found[letter] = by_stages(kept, places, start, channels, *vectors)
    if "D" in wanted:
        found["D"] = told(kept, maps, tested, found["w"][0])
    if "F" in wanted and "fine" in kept:
        fine, tested = (kept[name].float() for name in ("fine", "tested_fine"))
        mean, deviation = (statistic(fine, dim=(0, 2, 3), keepdim=True) for statistic in (torch.mean, torch.std))
        found["F"] = told(kept, (fine - mean) / deviation, (tested - mean) / deviation, found["w"][0])
    return found


def by_stages(
    kept: dict[str, Any], places: int, start: int, channels: Sequence[int], vectors: Tensor, tested: Tensor
) -> Both:
    """Distances as `remembered`, of vectors (N, C, h, w) whose stages each have a memory: their scaled mean."""
    far = [
        remembered(kept, places, start, own, fresh)
        for own, fresh in zip(*(torch.split(each, list(channels), dim=1) for each in (vectors, tested)), strict=True)
    ]
    scales = [own[kept["judged"]].mean() for own, _ in far]
    own, fresh = (
        torch.stack([stage[side] / scale for stage, scale in zip(far, scales, strict=True)]) for side in (0, 1)
    )
    return own.mean(dim=0), fresh.mean(dim=0)


def told(kept: dict[str, Any], maps: Tensor, tested_maps: Tensor, rebuilt: Tensor) -> Both:
    """What discriminators say of maps (N, C, h, w) of the whole picture, where they are finer of the worst place."""
    fold, judged = kept["fold"], kept["judged"]
    logits, tested = torch.empty_like(rebuilt), []
    for group in range(int(fold.max()) + 1):
        places = maps[(fold != group) & ~kept["left_out"]].permute(0, 2, 3, 1).flatten(0, 2)
        discriminator = trained(places, group)
        with torch.inference_mode():
            pool = maps.shape[2] // rebuilt.shape[1]
            logits[fold == group] = max_pool2d(discriminator(maps[fold == group]), pool)[:, 0]
            tested.append(max_pool2d(discriminator(tested_maps), pool)[:, 0])
    scale = LEARNED * rebuilt[judged].log().std() / logits[judged].std()
    return (logits * scale).exp(), (torch.stack(tested).mean(dim=0) * scale).exp()


def along(kept: dict[str, Any], axes: int | None, vectors: Tensor, tested: Tensor) -> tuple[Tensor, Tensor]:
    """Say where vectors (N, C, h, w) lie along the axes on which those believed differ most, and how far from them."""
    if axes is None:
        return vectors, tested
    rows = vectors[~kept["left_out"]].permute(0, 2, 3, 1).flatten(0, 2)
    mean = rows.mean(dim=0)
    directions = torch.linalg.eigh((rows - mean).T @ (rows - mean)).eigenvectors[:, -axes:]

    def laid(vectors: Tensor) -> Tensor:
        centred = vectors - mean[:, None, None]
        on_axes = torch.einsum("nchw,ca->nahw", centred, directions)
        beyond = centred.square().sum(dim=1, keepdim=True) - on_axes.square().sum(dim=1, keepdim=True)
        return torch.cat([on_axes, beyond.clamp_min(0).sqrt()], dim=1)

    return laid(vectors), laid(tested)


def remembered(kept: dict[str, Any], count: int, start: int, vectors: Tensor, tested: Tensor) -> Both:
    """Squared distances (N, h, w) to the nearest place of the other folds, and of the tested their mean over folds.

    Of all folds together `count` places are remembered, chosen from `start` on.
    """
    fold = kept["fold"]
    groups = range(int(fold.max()) + 1)
    memories = []
    for group in groups:
        places = vectors[(fold == group) & ~kept["left_out"]].permute(0, 2, 3, 1).flatten(0, 2)
        generator = torch.Generator().manual_seed(start)
        projection = torch.randn(places.shape[1], PROJECTED, generator=generator) / PROJECTED**0.5
        chosen = k_center(places @ projection, min(count // len(groups), len(places)), generator)
        memories.append(places[chosen])
    of_good, of_tested = (
        torch.stack([torch.stack([_nearest(one, memory) for one in each]) for memory in memories])
        for each in (vectors, tested)
    )
    others = [[other for other in groups if other != group] for group in groups]
    own = torch.empty_like(of_good[0])
    for group in groups:
        own[fold == group] = of_good[others[group]].amin(dim=0)[fold == group]
    return own, torch.stack([of_tested[each].amin(dim=0) for each in others]).mean(dim=0)


def _nearest(vectors: Tensor, memory: Tensor) -> Tensor:
    """Squared distances (h, w) of places (C, h, w) to the nearest of memory (P, C)."""
    far = torch.cdist(vectors.flatten(1).T, memory).amin(dim=1).square().clamp_min(LEAST)
    return far.reshape(vectors.shape[1:])


def errors_of(error_map: Tensor, settings: TrainingSettings) -> np.ndarray:
    """Errors (N, K + 1) of error maps (N, h, w), as the detector takes them."""
    places = split(error_map[:, None], settings.network.grid).flatten(2)
    worst = max(1, round(settings.score.worst_share * places.shape[2]))
    tiles = places.topk(worst, dim=2).values.mean(dim=2)
    return torch.cat([tiles.mean(dim=1, keepdim=True), tiles], dim=1).double().numpy()


if __name__ == "__main__":
    main()
