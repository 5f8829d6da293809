"""The paper's figures 4 to 7 from the checkpoints that benchmarks/quality.py left, as PNG.

python benchmarks/quality.py --mvtec DIR --sets cookie --seeds 0 && python benchmarks/figures.py --set cookie
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from quality import METHODS, RUNS
from scipy.stats import gaussian_kde
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from assessment.evaluation import Evaluation, evaluate
from core.datasets.layout import GOOD
from training.detector.checkpoint import Checkpoint, load_checkpoint
from training.detector.contact_sheet import clearest_and_worst, draw_contact_sheet
from training.network.tiles import merge

OURS = "recipe"
PAPERS = "P-WAE"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", default="elpv:mono")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--output", type=Path, default=Path("runs/figures"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    found = {method: RUNS / arguments.set / method / arguments.seed / "checkpoint" for method in METHODS}
    checkpoints = {method: load_checkpoint(path) for method, path in found.items() if path.exists()}
    evaluation = evaluate(checkpoints[PAPERS], checkpoints[PAPERS].settings.data)
    defective = np.array([sample.kind != GOOD for sample in evaluation.frames.samples])
    chosen = clearest_and_worst(evaluation.scores, defective, each=3)
    figures = {
        "figure4": draw_contact_sheet(checkpoints[PAPERS], evaluation.frames, chosen, evaluation.errors),
        "figure5": tsne(evaluation, defective),
        "figure6": interpolation(evaluation, defective),
        "figure7": densities({m: c for m, c in checkpoints.items() if m != OURS}, evaluation),
    }
    captions = {
        "figure4": "Input, reconstruction, squared difference: clearest and worst of the good and of the defective.",
        "figure5": "t-SNE of tile latents, one colour a tile: good parts left, defective parts right, one embedding.",
        "figure6": "Linear interpolation between two good parts: the centre tile's latent alone, then all latents.",
        "figure7": "Density of latents on their first two principal axes (KDE, Scott's rule), good test parts.",
    }
    for name, figure in figures.items():
        figure.suptitle(f"{name.replace('figure', 'Figure ')}, {arguments.set}. {captions[name]}", fontsize=9)
        figure.savefig(arguments.output / f"{name}.png", dpi=110)
        print(arguments.output / f"{name}.png")


@torch.inference_mode()
def latents_of(checkpoint: Checkpoint, frames_bgr_u8: np.ndarray) -> torch.Tensor:
    """Latents (N, K, C_z, h, w) of frames (N, H, W, 3)."""
    network = checkpoint.inspector.network
    batches = torch.from_numpy(frames_bgr_u8).split(16)
    return torch.cat([network(network.maps(network.images(b)), pixel_images=0).latents for b in batches])


def tsne(evaluation: Evaluation, defective: np.ndarray, each: int = 60) -> Figure:
    chosen = np.concatenate([np.flatnonzero(~defective)[:each], np.flatnonzero(defective)[:each]])
    latents = latents_of(evaluation.checkpoint, evaluation.frames.bgr_u8[chosen]).flatten(2)
    images, tiles, _ = latents.shape
    places = TSNE(2, random_state=0, init="pca").fit_transform(latents.flatten(0, 1).numpy()).reshape(images, tiles, 2)
    figure = Figure(figsize=(10, 5), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for ax, kind, members in zip(panels, ("good", "defective"), (~defective[chosen], defective[chosen]), strict=True):
        for k in range(tiles):
            ax.scatter(*places[members, k].T, s=9, color=f"C{k}", label=f"tile {k + 1}")
        ax.set(title=f"{kind} ({members.sum()} parts)", xticks=[], yticks=[])
    panels[1].legend(fontsize=7, ncols=3)
    return figure


@torch.inference_mode()
def interpolation(evaluation: Evaluation, defective: np.ndarray, steps: int = 7) -> Figure:
    member: Any = evaluation.checkpoint.inspector.network.members[0]
    pairs = np.flatnonzero(~defective)[[0, 1, 2, 3]].reshape(2, 2)
    figure = Figure(figsize=(1.5 * steps, 1.65 * 4), layout="constrained")
    axes = figure.subplots(4, steps)
    rows = [(pair, alone) for pair in pairs for alone in (True, False)]
    for line, (pair, alone) in zip(axes, rows, strict=True):
        first, second = latents_of(evaluation.checkpoint, evaluation.frames.bgr_u8[pair])
        for ax, share in zip(line, np.linspace(0, 1, steps), strict=True):
            mixed = first.lerp(second, float(share))
            if alone:
                centre = len(first) // 2
                mixed = torch.cat([first[:centre], mixed[centre : centre + 1], first[centre + 1 :]])
            pixels, _ = member.decoder(merge(mixed[None]))
            ax.imshow(pixels[0].permute(1, 2, 0).numpy())
            ax.set_axis_off()
            ax.set_title(f"{'centre tile' if alone else 'all tiles'} {share:.0%}", fontsize=7)
    return figure


def densities(checkpoints: dict[str, Checkpoint], evaluation: Evaluation) -> Figure:
    good = np.array([sample.kind == GOOD for sample in evaluation.frames.samples])
    figure = Figure(figsize=(3.2 * len(checkpoints), 3.6), layout="constrained")
    for ax, (method, checkpoint) in zip(figure.subplots(1, len(checkpoints)), checkpoints.items(), strict=True):
        vectors = latents_of(checkpoint, evaluation.frames.bgr_u8[good]).flatten(0, 1).flatten(1).numpy()
        points = PCA(2, random_state=0).fit_transform((vectors - vectors.mean(0)) / (vectors.std(0) + 1e-6)).T
        points /= points.std(axis=1, keepdims=True)
        y, x = np.mgrid[-3:3:120j, -3:3:120j]
        density = gaussian_kde(points, "scott")(np.stack([x.ravel(), y.ravel()])).reshape(x.shape)
        ax.contourf(x, y, density, levels=20, cmap="Blues")
        ax.set(title=method, xticks=[], yticks=[], aspect="equal")
    return figure


if __name__ == "__main__":
    main()
