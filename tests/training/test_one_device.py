"""Training on PyTorch's device `meta`, which computes nothing and refuses, as CUDA does, what lies on two devices.

So all that a step and an error are made of is seen to lie on one device; that CUDA computes it, `make test-gpu` shows.
It also refuses to give a value, for which a step on a GPU would wait. So would a copy from the CPU: an index in a list.
"""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from training.detector.inspector import Inspector
from training.fitting import losses
from training.fitting.training_set import TrainingSet
from training.network.network import new_network
from training.settings import TrainingSettings

GPU = torch.device("meta")


class NothingCopied(TorchFunctionMode):
    """Refuses what waits for a GPU because something is copied there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name == "__getitem__" and args[0].device == GPU:
            parts = args[1] if isinstance(args[1], tuple) else (args[1],)
            elsewhere = [part for part in parts if isinstance(part, list | torch.Tensor) and not is_there(part)]
            assert not elsewhere, f"an index is copied: {elsewhere}"
        made = func(*args, **kwargs)
        if name == "to" and is_there(made) and not is_there(args[0]):
            assert kwargs.get("non_blocking"), "a tensor is copied, and waited for"
        return made


def is_there(thing: Any) -> bool:
    return isinstance(thing, torch.Tensor) and thing.device == GPU


FROZEN = {"name": "tiny", "stages": [1, 2], "stride": 8, "frozen": True, "weights": None, "whole": True}
FORMS: dict[str, dict[str, Any]] = {
    "pixels": {"score": {"space": "pixels", "distance": "squared", "memory": 0}},
    "features": {
        "score": {"space": "features"},
        "network": {"height": 48, "width": 48, "permutations": 20, "encoder": FROZEN},
        "loss": {"cosine": 1.0},
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_from_frames_to_loss_and_errors_all_lies_on_one_device(
    make_training_config: Callable[..., dict[str, Any]], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.fitting.learner import Learner

    monkeypatch.setattr(losses, "_without_autocast", lambda x: nullcontext())  # there is none to be without
    settings = TrainingSettings.model_validate(make_training_config(Path("p"), Path("o"), **FORMS[form]))
    network = new_network(settings.network, 1, 0)
    inspector = Inspector(network, settings.score).to(GPU)
    frames = torch.zeros((8, 48, 48, 3), dtype=torch.uint8, device=GPU)
    maps = network.raw_maps(network.images(frames)).half() if form == "features" else None
    dataset = TrainingSet(network, frames, maps)
    learner = Learner(network, settings)
    with NothingCopied():
        loss = learner.training_step(dataset.__getitems__([3, 1, 5, 2]), 0)
    loss.backward()
    assert {"hsic", "swd", "jigsaw"} <= set(learner.steps[-1])
    gradients = [parameter.grad for parameter in network.members[0].parameters() if parameter.grad is not None]
    assert {tensor.device for tensor in (loss, *gradients)} == {GPU}
    for images, standardised in dataset.batches(np.arange(5)):
        assert inspector.rebuilt(images, standardised, 0, pixels=True)[0].device == GPU
        assert not inspector.score.memory or inspector.remembered(standardised).device == GPU
    assert inspector.inspect(frames).errors.device == GPU


@pytest.mark.long
def test_what_lies_elsewhere_is_refused() -> None:
    with pytest.raises(RuntimeError, match="device"):
        _ = torch.zeros(3, device=GPU) @ torch.zeros(3)
