"""A small ONNX bundle whose errors can be computed by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from core.files import sha256_of
from core.thresholds import calibrate
from runtime.bundles.bundle import save_manifest
from runtime.bundles.manifest import MODEL, Manifest
from tests.runtime.pictures import GOOD_GREY, GRID, SIZE, expected_errors, good_picture


def write_bundle(path: Path, grey: float = GOOD_GREY) -> Path:
    """Write a bundle whose model is the squared difference from even `grey`."""
    path.mkdir()
    tile = SIZE // GRID
    constants: dict[str, NDArray[Any]] = {
        "grey": np.array([grey], np.float32),
        "scale": np.array([1 / 255], np.float32),
        "channel_axis": np.array([3], np.int64),
        "place_axes": np.array([1, 2], np.int64),
        "in_tiles": np.array([0, GRID, tile, GRID, tile], np.int64),
        "tile_axes": np.array([2, 4], np.int64),
        "as_row": np.array([0, GRID * GRID], np.int64),
        "one": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["frames_bgr_u8"], ["frames"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["frames", "grey"], ["difference"]),
        helper.make_node("Mul", ["difference", "scale"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "scaled"], ["squared"]),
        helper.make_node("ReduceMean", ["squared", "channel_axis"], ["error_map"], keepdims=0),
        helper.make_node("ReduceMean", ["error_map", "place_axes"], ["image"], keepdims=0),
        helper.make_node("Unsqueeze", ["image", "one"], ["image_column"]),
        helper.make_node("Reshape", ["error_map", "in_tiles"], ["tiled"]),
        helper.make_node("ReduceMean", ["tiled", "tile_axes"], ["tile_errors"], keepdims=0),
        helper.make_node("Reshape", ["tile_errors", "as_row"], ["tile_rows"]),
        helper.make_node("Concat", ["image_column", "tile_rows"], ["errors"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "even_grey",
        [helper.make_tensor_value_info("frames_bgr_u8", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("errors", TensorProto.FLOAT, ["n", GRID * GRID + 1]),
            helper.make_tensor_value_info("error_map", TensorProto.FLOAT, ["n", SIZE, SIZE]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path / MODEL)
    errors = np.stack([expected_errors(good_picture(10_000 + seed)) for seed in range(200)])
    manifest = Manifest(
        name="even-grey",
        created="2026-11-23T22:05:00Z",
        height=SIZE,
        width=SIZE,
        grid=GRID,
        precision="fp32",
        score_unit="mean squared pixel error",
        thresholds=calibrate(errors * 1.5, 0.01),
        provenance={},
        files={MODEL: sha256_of(path / MODEL)},
    )
    save_manifest(path, manifest)
    return path
