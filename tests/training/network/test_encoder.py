from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor

from core.errors import ArtifactError
from training.network.encoder import Encoder, load_weights

SHAPES = {
    "resnet50": [(256, 25), (512, 13), (1024, 7), (2048, 4)],
    "resnet50-v1": [(256, 25), (512, 13), (1024, 7), (2048, 4)],
    "resnet18": [(64, 25), (128, 13), (256, 7), (512, 4)],
    "efficientnet-lite0": [(16, 50), (24, 25), (40, 13), (80, 7), (112, 7), (192, 4), (320, 4)],
    "tiny": [(8, 25), (16, 13), (32, 7), (64, 4)],
}


@pytest.mark.parametrize("name", SHAPES)
def test_stages_have_the_strides_and_widths_of_the_network(name: str) -> None:
    with torch.inference_mode():
        maps = Encoder(name, len(SHAPES[name])).eval()(torch.rand(2, 3, 100, 100))  # type: ignore[arg-type]
    assert [tuple(m.shape[1:3]) for m in maps] == SHAPES[name]


def test_parameter_names_and_counts_are_torchvisions() -> None:
    state = Encoder("resnet50", 4).network.state_dict()
    # torchvision's resnet50 has 320 entries, of which fc.weight and fc.bias are the classifier's.
    assert len(state) == 318
    assert state["layer3.5.conv2.weight"].shape == (256, 256, 3, 3)
    assert state["layer4.0.downsample.1.running_var"].shape == (2048,)
    assert sum(t.numel() for k, t in state.items() if "running" not in k and "num_" not in k) == 23_508_032


def test_the_packaged_lite0_weights_load_whole_and_match_natural_statistics() -> None:
    """The input statistics of a batch norm resemble those it was trained with only when every detail is right."""
    encoder = Encoder("efficientnet-lite0", 7)
    load_weights(encoder, "package")
    encoder.eval()
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    blocks: Any = encoder.network._blocks
    norm = blocks[-1]._bn2
    norm.register_forward_pre_hook(lambda m, x: seen.update(norm=(x[0].mean((0, 2, 3)), m.running_mean)))
    photos = torch.from_numpy(np.stack(load_sample_images().images)).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        encoder(photos)
    ours, theirs = seen["norm"]
    assert torch.corrcoef(torch.stack([ours, theirs]))[0, 1] > 0.97


def test_weights_with_batch_norm_folded_away_give_the_same_maps(tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = Encoder("resnet18", 2)
    for module in original.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    original.eval()
    folded: dict[str, Tensor] = {}
    modules = dict(original.network.named_modules())
    for name, module in modules.items():
        if isinstance(module, torch.nn.Conv2d):
            norm = modules[name[:-1] + "1" if "downsample" in name else name.replace("conv", "bn")]
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            folded[f"{name}.weight"] = (module.weight * scale[:, None, None, None]).detach()
            folded[f"{name}.bias"] = (norm.bias - norm.running_mean * scale).detach()
    torch.save(folded, tmp_path / "folded.pth")
    loaded = Encoder("resnet18", 2)
    load_weights(loaded, str(tmp_path / "folded.pth"))
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        for ours, theirs in zip(loaded.eval()(x), original(x), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-4)


def test_a_full_torchvision_file_loads_into_fewer_stages(tmp_path: Path) -> None:
    full = Encoder("resnet18", 4).network.state_dict() | {"fc.weight": torch.zeros(1000, 512)}
    torch.save(full, tmp_path / "resnet18.pth")
    encoder = Encoder("resnet18", 2)
    load_weights(encoder, str(tmp_path / "resnet18.pth"))
    assert torch.equal(encoder.network.state_dict()["layer2.1.conv2.weight"], full["layer2.1.conv2.weight"])


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    state = Encoder("tiny", 2).network.state_dict()
    torch.save(state, tmp_path / "tiny.pth")
    with pytest.raises(ArtifactError, match="fewer stages"):
        load_weights(Encoder("tiny", 3), str(tmp_path / "tiny.pth"))
    torch.save(state | {"conv1.weight": torch.zeros(4, 3, 7, 7)}, tmp_path / "narrow.pth")
    with pytest.raises(ArtifactError, match="`conv1.weight` has another shape"):
        load_weights(Encoder("tiny", 2), str(tmp_path / "narrow.pth"))
    with pytest.raises(ArtifactError, match="no such weights file"):
        load_weights(Encoder("tiny", 1), str(tmp_path / "absent.pth"))
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(ArtifactError, match="loads safely"):
        load_weights(Encoder("tiny", 1), str(tmp_path / "junk.pth"))
