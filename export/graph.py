"""From the checkpoint's one graph to ONNX: dynamic batch, one file, checked."""

import logging
import warnings
from pathlib import Path

import onnx
import torch

from runtime.bundle import ERROR_MAP, ERRORS, INPUT
from training.checkpoint import Checkpoint

OPSET = 18


def export_onnx(checkpoint: Checkpoint, path: Path) -> None:
    """Write the inspector as ONNX: uint8 (N, H, W, 3) in, errors (N, K + 1) and error map (N, h, w) out.

    Batch norm is folded into the convolutions and constants are folded by the exporter.
    """
    network = checkpoint.settings.network
    example = torch.zeros(2, network.height, network.width, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter's own deprecations and notes on torchvision: nothing a user of this command can act on.
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            checkpoint.inspector,
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
