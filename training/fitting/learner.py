"""The training step of Eq. 20 as a LightningModule: every term weighed, logged, and watched for going wrong."""

import logging
import math
from importlib.metadata import version
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import LRScheduler

from core.errors import PwaeError
from training.fitting.losses import (
    hsic_bottleneck,
    jigsaw,
    kullback_leibler,
    sliced_wasserstein,
    stressing_worst,
    student_t_prior,
)
from training.fitting.schedule import decay, one_cycle
from training.network.distance import stage_distances
from training.network.network import Network, Rebuilt
from training.settings import TrainingSettings

log = logging.getLogger(__name__)

Terms = dict[str, tuple[float, Tensor]]
"""A loss term's weight and value, by name."""

COLLAPSED = 1e-3
"""Latents that differ less than this between images carry nothing."""


class Learner(L.LightningModule):
    """Trains one member of a network. A batch is ([raw maps (N, C, n*h, n*w)], frames (N, H, W, 3) uint8 in BGR).

    Where features are judged, only the first member rebuilds pixels: they are for people to look at.
    """

    def __init__(self, network: Network, settings: TrainingSettings, member: int = 0) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.member = member
        self.strict_loading = False  # a resume point holds what is trained, and no more
        self.steps: list[dict[str, Tensor]] = []
        """What each step of this epoch gave. Lightning's own means, taken step by step, cost a fifth of a step."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what this member trains; say of which version and configuration it is, and the epoch's losses."""
        metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        checkpoint |= {"version": version("p-wae"), "settings": self.settings.model_dump_json(), "metrics": metrics}
        is_frozen = self.settings.network.encoder.frozen
        kept = (f"network.members.{self.member}.", *(() if is_frozen else ("network.encoder.",)))
        checkpoint["state_dict"] = {
            name: value for name, value in checkpoint["state_dict"].items() if name.startswith(kept)
        }

    def on_train_epoch_start(self) -> None:
        """Seed by epoch, so that a run resumed at an epoch draws what the unbroken run would have drawn."""
        seed = (self.settings.seed * 31 + self.member) * 1_000_003 + self.current_epoch
        torch.manual_seed(seed * 1009 + self.global_rank)
        self.network.train()

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        """One step: puzzle, encode, rebuild, weigh the terms.

        Asks for no value: a GPU would be waited for, which is given a step's many small operations ahead.
        """
        *cached, frames = batch
        shows = self.settings.loss.pixels > 0 and (self.member == 0 or self.settings.score.space == "pixels")
        pixel_images = math.ceil(self.settings.loss.pixels_share * len(frames)) if shows else 0
        needs_all = not cached or self.settings.loss.hsic > 0
        images = self.network.images(frames if needs_all else frames[:pixel_images])
        maps = self.network.standardised(cached[0]) if cached else self.network.maps(images)
        permutation = self._draw_permutations(len(frames))
        puzzle = permutation if self.settings.loss.jigsaw else None
        rebuilt = self.network(maps, puzzle, pixel_images, self.member)
        terms = self._reconstruction(rebuilt, maps, images[:pixel_images])
        terms |= self._regularisation(rebuilt, images, permutation)
        total = torch.stack([weight * term for weight, term in terms.values()]).sum()
        step = {name: term.detach() for name, (_weight, term) in terms.items()}
        step["latent_std"] = rebuilt.latents.detach().float().std(dim=0).mean()
        self.steps.append(step | {"loss": total.detach()})
        return total

    def _reconstruction(self, rebuilt: Rebuilt, maps: Tensor, images: Tensor) -> Terms:
        """L_AE: of the pixels of the images that were rebuilt, and of the encoder's maps where they count."""
        loss = self.settings.loss
        terms = Terms()
        if len(images):
            terms["pixels"] = (loss.pixels, mse_loss(rebuilt.pixels.float(), images.clamp(0, 1)))
        judged = self.network.judged(maps)
        if loss.features:
            terms["features"] = (loss.features, mse_loss(rebuilt.features.float(), judged))
        if loss.cosine:
            channels = self.network.feature_channels
            distances = stage_distances(rebuilt.features.float(), judged, channels, "cosine")
            terms["cosine"] = (loss.cosine, stressing_worst(distances, loss.worst_share))
        return terms

    def _regularisation(self, rebuilt: Rebuilt, images: Tensor, permutation: Tensor) -> Terms:
        """What shapes the latents: jigsaw, the prior, the HSIC bottleneck; for the VAE baseline its divergence."""
        loss, terms = self.settings.loss, Terms()
        latents = rebuilt.latents.float().flatten(2)
        if rebuilt.logits is not None:
            terms["jigsaw"] = (loss.jigsaw, jigsaw(rebuilt.logits, permutation))
        if rebuilt.log_variances is not None:
            terms["kl"] = (loss.kl, kullback_leibler(rebuilt.latents, rebuilt.log_variances))
        if not (loss.swd or loss.hsic):
            return terms
        prior = student_t_prior(latents.shape, latents.device)
        if loss.swd:
            terms["swd"] = (loss.swd, sliced_wasserstein(latents, prior, loss.swd_directions))
        if loss.hsic:
            samples = (images.flatten(1), latents.flatten(1), prior.flatten(1))
            hsic = hsic_bottleneck(
                *samples, beta=loss.hsic_beta, epsilon=loss.hsic_epsilon, bandwidth=loss.hsic_bandwidth
            )
            terms["hsic"] = (loss.hsic, hsic)
        return terms

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means, and say so early where the latents carry nothing.

        Raises PwaeError where a term is no longer finite, before the epoch's point to resume from is written.
        """
        means = {name: torch.stack([step[name] for step in self.steps]).mean() for name in self.steps[0]}
        self.steps.clear()
        if not torch.isfinite(means["loss"]):
            name, mean = next((name, mean) for name, mean in means.items() if not torch.isfinite(mean))
            raise PwaeError(
                f"the {name} loss became {mean.item()} in epoch {self.current_epoch}; lower "
                f"`optimiser.learning_rate` ({self.settings.optimiser.learning_rate}) or `loss.{name}`."
            )
        self.log_dict(means, sync_dist=True)
        spread = float(means["latent_std"])
        if spread < COLLAPSED and self.trainer.is_global_zero:
            log.warning(
                "the latents have collapsed (standard deviation %.1g over images) in epoch %d: "
                "lower `loss.swd` and `loss.hsic`, or raise `loss.pixels` or `loss.features`",
                spread,
                self.current_epoch,
            )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """SGD decayed each step by 1 / (1 + a p)^b with progress p from 0 to 1, or AdamW on one cycle."""
        chosen = self.settings.optimiser
        steps = int(self.trainer.estimated_stepping_batches)
        trained = (self.network.encoder, self.network.members[self.member])
        parameters = [parameter for part in trained for parameter in part.parameters() if parameter.requires_grad]
        optimiser: torch.optim.Optimizer
        schedule: LRScheduler
        if chosen.name == "sgd":
            optimiser = torch.optim.SGD(parameters, chosen.learning_rate, momentum=chosen.momentum, fused=True)
            schedule = decay(optimiser, chosen.decay_a, chosen.decay_b, steps)
        else:
            optimiser = torch.optim.AdamW(parameters, chosen.learning_rate, weight_decay=1e-4, fused=True)
            schedule = one_cycle(optimiser, chosen.learning_rate, steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _draw_permutations(self, images: int) -> Tensor:
        """Draw a permutation's index for each image; 0, the identity, for those that stay whole."""
        permutations = self.network.permutations
        drawn = torch.randint(len(permutations), (images,), device=permutations.device)
        whole = torch.rand(images, device=permutations.device) >= self.settings.loss.shuffled_share
        return drawn.masked_fill(whole, 0)
