import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from core.errors import ArtifactError, ConfigError, DataError, ParityError
from core.thresholds import Thresholds
from export import build
from export.build import build_bundle
from export.parity import backend_errors, compare, require_parity
from runtime.backend import OnnxBackend
from runtime.bundle import ERROR_MAP, ERRORS, INPUT, MANIFEST, Bundle, load_bundle
from training.checkpoint import load_checkpoint
from training.dataset import labelled_samples, read_frames
from training.inspector import judge


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build_bundle(checkpoint, tmp_path_factory.mktemp("export") / "disc.bundle", None)


def test_the_graph_takes_frames_in_any_batch_and_gives_errors_and_map(bundle: Bundle) -> None:
    graph = onnx.load(bundle.model).graph
    assert [i.name for i in graph.input] == [INPUT]
    assert [o.name for o in graph.output] == [ERRORS, ERROR_MAP]
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert not [node for node in graph.node if node.op_type == "BatchNormalization"]


def test_the_runtime_judges_as_pytorch_does(bundle: Bundle, checkpoint: Path, parts: Path) -> None:
    frames = read_frames(labelled_samples(str(parts)), 48, 48).bgr_u8
    trained = load_checkpoint(checkpoint)
    reference, reference_maps = judge(trained.inspector, frames)
    backend = OnnxBackend(bundle, max_batch=7)
    assert backend_errors(backend, frames) == pytest.approx(reference, rel=1e-4)
    batch = backend.new_batch()
    batch[:3] = frames[:3]
    assert backend.submit(batch[:3]).error_maps() == pytest.approx(reference_maps[:3], rel=1e-3, abs=1e-6)


def test_the_bundle_tells_where_it_comes_from(bundle: Bundle, checkpoint: Path) -> None:
    manifest = bundle.manifest
    assert (manifest.name, manifest.height, manifest.width, manifest.grid) == ("disc", 48, 48, 3)
    assert manifest.parity[0].pictures == 20
    assert manifest.parity[0].verdict_flips == 0
    assert 0 < manifest.parity[0].largest_difference < 1e-3
    assert manifest.provenance["training"]["data_sha256"] == load_checkpoint(checkpoint).provenance["data_sha256"]
    assert manifest.thresholds == load_checkpoint(checkpoint).thresholds


def test_an_older_bundle_is_replaced_and_anything_else_is_left_alone(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "precious.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists and is no bundle"):
        build_bundle(checkpoint, output, None)
    (output / "precious.txt").unlink()
    build_bundle(checkpoint, output, None)
    (output / "stale").write_text("x")
    build_bundle(checkpoint, output, None)
    assert sorted(path.name for path in output.iterdir()) == [MANIFEST, "model.onnx"]
    assert list(tmp_path.iterdir()) == [output]


def test_an_exported_model_that_judges_differently_is_refused_and_kept(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(bundle: Bundle, frames: np.ndarray) -> np.ndarray:
        return backend_errors(bundle, frames) * 50  # type: ignore[arg-type]

    monkeypatch.setattr(build, "backend_errors", wrong)
    with pytest.raises(ParityError, match="change their verdict"):
        build_bundle(checkpoint, tmp_path / "out", None)
    assert not (tmp_path / "out").exists()
    kept = json.loads((tmp_path / "out.refused" / MANIFEST).read_text())
    assert kept["parity"][0]["verdict_flips"] > 0


def test_a_difference_above_tolerance_is_refused_without_a_flip() -> None:
    thresholds = Thresholds(
        values=(1.0,) * 10, false_reject_rate=0.1, false_reject_expected=0.1, false_reject_upper=0.2, parts=20
    )
    reference = np.full((4, 10), 0.5, np.float32)
    exact, off = compare(reference, reference, thresholds), compare(reference, reference + 0.01, thresholds)
    assert (exact.largest_difference, exact.verdict_flips) == (0, 0)
    require_parity(exact, "fp32")
    with pytest.raises(ParityError, match="differs by 0.01 of its threshold"):
        require_parity(off, "fp32")
    with pytest.raises(ParityError):
        require_parity(compare(reference, reference * np.nan, thresholds), "fp32")


def test_missing_checkpoint_and_missing_parity_pictures_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        build_bundle(tmp_path / "absent", tmp_path / "out", None)
    with pytest.raises(DataError):
        build_bundle(checkpoint, tmp_path / "out", str(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", ["model.onnx", MANIFEST])
def test_a_damaged_bundle_is_refused(bundle: Bundle, tmp_path: Path, name: str) -> None:
    for file in bundle.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 0x08
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError):
        load_bundle(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError):
        load_bundle(tmp_path)
