"""Training images a second: the batched step against the straightforward one, in turn, in one process.

The straightforward way is that of the authors' scripts: one image at a time, one tile at a time through the encoder.
Both sides do the same work on an image: encoder forward and backward, every loss term of Eq. 20, the optimiser. SWD and
HSIC compare images, so the straightforward side takes two images a step. A third side trains on a frozen encoder's
cached maps, as configs/elpv-mono.yaml does.

    python benchmarks/bench_training.py
"""

import json
import os
import statistics
import time
from collections.abc import Mapping

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import torch
from machine import describe
from torch import Tensor

from training.fitting.learner import Learner
from training.network.network import Network
from training.network.tiles import merge, permutation_set, split
from training.settings import TrainingSettings

ROUNDS = 3
IMAGES = 16


class OneTileAtATime(Network):
    def raw_maps(self, images: Tensor) -> Tensor:
        tiles = split(images, self.settings.grid)
        return merge(torch.stack([self.encoder(tiles[:, k])[-1] for k in range(tiles.shape[1])], dim=1))


def learner(kind: type[Network], encoder: Mapping[str, object], loss: Mapping[str, object]) -> Learner:
    size = {"height": 300, "width": 300, "tile_scale": 1, "equalise": False}
    network = {**size, "encoder": encoder, "permutations": 100}
    form = {"score": {"space": "pixels", "distance": "squared", "memory": 0}, "folds": 1}
    loss = {"cosine": 0.0, "pixels_share": 1.0, **loss}
    content = {"name": "bench", "data": "none", "output": "none", "network": network, "loss": loss, **form}
    settings = TrainingSettings.model_validate(content)
    built = Learner(kind(settings.network, permutation_set(9, 100, 0)), settings)
    built.network.train()
    return built


def images_per_s(module: Learner, batches: list[list[Tensor]]) -> float:
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(parameters, 0.001, momentum=0.9)
    started = time.perf_counter()
    for batch in batches:
        loss = module.training_step(batch, 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return sum(len(batch[-1]) for batch in batches) / (time.perf_counter() - started)


def main() -> None:
    frames = torch.randint(256, (IMAGES, 300, 300, 3), dtype=torch.uint8)
    trained = {"name": "resnet18", "stages": [3], "weights": None, "frozen": False, "whole": False}
    frozen = {**trained, "frozen": True}
    cached = learner(Network, frozen, {"features": 1.0, "pixels_share": 0.125})
    maps = cached.network.raw_maps(cached.network.images(frames)).detach()
    sides = {
        "straightforward: tile by tile": (learner(OneTileAtATime, trained, {}), [[pair] for pair in frames.split(2)]),
        "batched": (learner(Network, trained, {}), [[frames]]),
        "batched, frozen encoder's maps cached": (cached, [[maps, frames]]),
    }
    rounds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS + 1):
        for name, (module, batches) in sides.items():
            measured = images_per_s(module, batches)
            if number:  # the first round warms up
                rounds[name].append(measured)
    slow = rounds["straightforward: tile by tile"]
    result = {
        "images_per_s": {name: round(statistics.median(values), 2) for name, values in rounds.items()},
        "ratio_to_straightforward": {
            name: round(statistics.median(a / b for a, b in zip(values, slow, strict=True)), 2)
            for name, values in rounds.items()
        },
        "rounds": {name: [round(value, 2) for value in values] for name, values in rounds.items()},
        "network": "ResNet-18 up to stride 16, 300 x 300, batch 16",
        **describe("torch", "lightning"),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
