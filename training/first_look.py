"""A first look at the good pictures, before a decoder is trained: which show what few others show."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.thresholds import odd_parts, standing
from training.detector.inspector import Inspector
from training.detector.memory import unit_vectors
from training.device import choose_device
from training.fitting.training_set import TrainingSet

REFERENCES = 60
"""Each picture is held against so many of the others, drawn once: ten times the pictures take ten times as long."""
SHARE = 0.2
"""What this share of the others shows is usual: bad pictures among the good ones, all bad in one way, are not."""
MOST = 0.1
"""Not more than this share of the pictures is doubted: what a tenth of them shows is variety."""
KIND = 20
"""More than a tenth, and more than so many: these are a kind of good parts, which the decoders have to learn."""
_LEAST = 1e-6


def doubted_among(inspector: Inspector, dataset: TrainingSet, pictures: int, seed: int) -> NDArray[np.bool_]:
    """Say which of the first `pictures` pictures (N,) show what few others show, beyond Tukey's fence."""
    found = rarities(inspector.eval().to(choose_device()), dataset, pictures, seed)
    inspector.cpu()
    odd, most = odd_parts(found), int(MOST * pictures)
    if odd.sum() > max(most, KIND):
        return np.zeros(pictures, bool)
    rarest_first = np.argsort(-np.where(odd, standing(found), -np.inf), kind="stable")
    odd[rarest_first[most:]] = False
    return odd


@torch.inference_mode()
def rarities(inspector: Inspector, dataset: TrainingSet, pictures: int, seed: int) -> NDArray[np.float64]:
    """Errors (N, K + 1) by the verdict's own rule, of the first `pictures` pictures: how rare is what they show.

    A place is as rare as it is far (1 - cosine) from the most alike place of another picture, namely of the one that is
    nearest after SHARE of all references: so the pictures that share a defect do not vouch for each other.
    """
    drawn = np.sort(np.random.default_rng(seed).permutation(pictures)[:REFERENCES])
    references = [torch.cat(parts) for parts in zip(*_by_source(inspector, dataset, drawn), strict=True)]
    found, first = [], 0
    for batch in _by_source(inspector, dataset, np.arange(pictures)):
        count, _, height, width = batch[0].shape
        is_own = torch.from_numpy(drawn)[None] == torch.arange(first, first + count)[:, None]
        first += count
        far = [_far(one, other, is_own.to(one.device)) for one, other in zip(batch, references, strict=True)]
        found.append(torch.stack(far).log().mean(dim=0).exp().reshape(count, height, width))
    return inspector.errors_of(torch.cat(found)).cpu().numpy().astype(np.float64)


def _by_source(inspector: Inspector, dataset: TrainingSet, chosen: NDArray[np.int64]) -> Iterator[list[Tensor]]:
    """Batches of the pictures' places as vectors, by source."""
    return (unit_vectors(inspector.network, maps) for _, maps in dataset.batches(chosen))


def _far(maps: Tensor, references: Tensor, is_own: Tensor) -> Tensor:
    """How far (B, h * w) places of maps (B, C, h, w) are from references (R, C, h, w); none is its `is_own` (B, R)."""
    places = references.flatten(2).transpose(1, 2).flatten(0, 1)
    rows = []
    for picture, own in zip(maps.flatten(2).transpose(1, 2), is_own, strict=True):
        nearest = 1 - (picture @ places.T).reshape(len(picture), len(references), -1).amax(dim=2)
        nearest = nearest[:, ~own]
        rows.append(nearest.kthvalue(max(1, math.ceil(SHARE * nearest.shape[1])), dim=1).values)
    return torch.stack(rows).clamp_min(_LEAST)
