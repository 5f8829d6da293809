"""From the checkpoint's one graph to ONNX: dynamic batch, one file, checked."""

import copy
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval

from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT
from training.detector.checkpoint import Checkpoint

OPSET = 18


def network_layers(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Give each convolution that is a layer of the network, with the layer's name; resizing is none."""
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[1].startswith("network."):
            yield node, node.input[1].removesuffix(".weight")


def export_onnx(checkpoint: Checkpoint, path: Path, half: bool = False) -> None:
    """Write the inspector as ONNX: uint8 (N, H, W, 3) in, errors (N, K + 1) and error map (N, h, w) out.

    With `half` the network computes in float16, its types written into the graph, while normalisation and errors stay
    float32; the checkpoint itself is left as it is. A batch norm that is left in the graph raises RuntimeError.
    """
    network = checkpoint.settings.network
    inspector = copy.deepcopy(checkpoint.inspector)
    fold_batch_norms(inspector)
    for module in inspector.modules():
        if isinstance(module, torch.nn.ReLU | torch.nn.ReLU6):
            module.inplace = False  # the graph is the same, but the exporter takes a quarter longer to come to it
    if half:
        inspector.network.halve()
    example = torch.zeros(2, network.height, network.width, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter's own deprecations and notes on torchvision: nothing a user of this command can act on.
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            inspector,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[ERRORS, ERROR_MAP],
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    program.save(str(path), external_data=False)
    onnx.checker.check_model(str(path), full_check=True)
    if any(node.op_type == "BatchNormalization" for node in onnx.load(path).graph.node):
        raise RuntimeError("torch.onnx.export left a batch norm unfolded")


def fold_batch_norms(module: torch.nn.Module) -> None:
    """Fold each batch norm into the convolution before it, in place.

    The exporter does not where a convolution is used twice, as the encoder's are, for the tiles and the whole picture.
    """
    before: tuple[str, torch.nn.Module] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, torch.nn.BatchNorm2d) and before and isinstance(before[1], torch.nn.Conv2d):
            setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
            setattr(module, name, torch.nn.Identity())
        else:
            fold_batch_norms(child)
        before = (name, child)
