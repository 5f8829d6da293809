import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
import torch

from core.datasets.dataset import labelled_samples
from core.datasets.frames import read_frames
from core.errors import ArtifactError, ConfigError, DataError, ParityError
from core.pictures.geometry import ModelInput
from export import build, lowering
from export.build import ExportRequest, build_bundle
from export.graph import export_onnx
from export.parity import backend_errors
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.known_pictures import TOLERANCE
from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT, MANIFEST
from runtime.inference.onnx_backend import OnnxBackend
from tests.export.test_layer_difference import overflow
from training.detector.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.detector.inspector import judge


@pytest.fixture(autouse=True, scope="module")
def _exported_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each network in each precision is exported once, really; the same network again gives a copy of that file."""
    exported: dict[tuple[bytes, bool], Path] = {}

    def export_once(checkpoint: Checkpoint, path: Path, half: bool = False) -> None:
        content = io.BytesIO()
        torch.save(checkpoint.inspector.state_dict(), content)
        what = hashlib.sha256(content.getvalue()).digest(), half
        if what not in exported:
            exported[what] = tmp_path_factory.mktemp("exported") / "model.onnx"
            export_onnx(checkpoint, exported[what], half)
        shutil.copyfile(exported[what], path)

    with pytest.MonkeyPatch.context() as patch:
        for module in (build, lowering):
            patch.setattr(module, "export_onnx", export_once)
        yield


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build_bundle(ExportRequest(checkpoint, tmp_path_factory.mktemp("export") / "disc.bundle"))


def test_the_graph_takes_frames_in_any_batch_and_gives_errors_and_map(bundle: Bundle) -> None:
    graph = onnx.load(bundle.model).graph
    assert [i.name for i in graph.input] == [INPUT]
    assert [o.name for o in graph.output] == [ERRORS, ERROR_MAP]
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert not [node for node in graph.node if node.op_type == "BatchNormalization"]


def test_the_runtime_judges_as_pytorch_does(bundle: Bundle, checkpoint: Path, parts: Path) -> None:
    frames = read_frames(labelled_samples(str(parts)), ModelInput(48, 48)).bgr_u8
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
    told = load_checkpoint(checkpoint).provenance
    assert (manifest.number, manifest.label) == (1, "disc #1")
    learned = manifest.trained_on
    assert (learned.data_sha256, learned.pictures, learned.at) == tuple(
        told[key] for key in ("data_sha256", "pictures", "trained")
    )
    assert sum(learned.folders.values()) == learned.pictures
    assert manifest.input.aspects == load_checkpoint(checkpoint).input.aspects == (1.0,)
    assert manifest.input.colours == load_checkpoint(checkpoint).input.colours != ()
    assert not {"aspects", "colours"} & set(learned.model_dump()), "for the station, and not for the MES"
    assert manifest.thresholds == load_checkpoint(checkpoint).thresholds


@pytest.mark.parametrize("place", [".", "/"])
def test_a_place_without_a_name_is_refused_in_words(
    place: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="has no name of its own"):
        build_bundle(ExportRequest(checkpoint, Path(place)))


def test_a_link_to_itself_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(ConfigError, match=f"{tmp_path}/ring: is a link that leads back to itself"):
        build_bundle(ExportRequest(tmp_path / "checkpoint", tmp_path / "ring"))


def test_an_older_bundle_is_replaced_with_a_word_and_anything_else_is_left_alone(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "precious.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists and is no bundle"):
        build_bundle(ExportRequest(checkpoint, output))
    (output / "precious.txt").unlink()
    first = build_bundle(ExportRequest(checkpoint, output))
    assert "will be replaced" not in capsys.readouterr().err
    (output / "precious.txt").write_text("mine")
    with pytest.raises(ConfigError, match="has other files in it"):
        build_bundle(ExportRequest(checkpoint, output))
    (output / "precious.txt").unlink()
    second = build_bundle(ExportRequest(checkpoint, output)).manifest
    assert f"{output}: the bundle there will be replaced; see --output\n" in capsys.readouterr().err
    assert (first.manifest.number, second.number) == (1, 2)
    older = (output / MANIFEST).read_text().replace("p-wae-bundle/2", "p-wae-bundle/1")
    (output / MANIFEST).write_text(older)
    link = tmp_path / "current"
    link.symlink_to(output)
    build_bundle(ExportRequest(checkpoint, link, "fp16"))
    assert link.is_symlink()
    assert load_bundle(output).manifest.precision == "fp16" != first.manifest.precision
    assert sorted(path.name for path in output.iterdir()) == [
        MANIFEST,
        "calibration.json",
        "known_pictures.npz",
        "model.onnx",
        "reference.json",
    ]
    assert sorted(tmp_path.iterdir()) == [link, output]


def test_an_exported_model_that_judges_differently_is_refused_and_kept(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(checkpoint: Checkpoint, path: Path, half: bool = False) -> None:
        checkpoint.inspector.stage_scale.div_(50)
        export_onnx(checkpoint, path, half)
        checkpoint.inspector.stage_scale.mul_(50)

    monkeypatch.setattr(build, "export_onnx", wrong)
    with pytest.raises(ParityError, match="change their verdict in fp32.*in the export itself"):
        build_bundle(ExportRequest(checkpoint, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    kept = tmp_path / "out.refused"
    with pytest.raises(ArtifactError, match="its export was refused: .* change their verdict"):
        load_bundle(kept)
    assert load_bundle(kept, refused_too=True).manifest.parity[0].verdict_flips > 0
    assert list(tmp_path.iterdir()) == [kept]
    monkeypatch.undo()
    good = build_bundle(ExportRequest(checkpoint, tmp_path / "out"))
    assert list(tmp_path.iterdir()) == [good.path]


def test_half_precision_is_proven_beside_full(checkpoint: Path, parts: Path, tmp_path: Path) -> None:
    order = ExportRequest(checkpoint, tmp_path / "out", "fp16", parity_data=str(parts / "test"))
    manifest = build_bundle(order).manifest
    assert manifest.precision == "fp16"
    assert [row.precision for row in manifest.parity] == ["fp32", "fp16"]
    full, half = manifest.parity
    assert full.largest_difference < half.largest_difference < 0.02
    assert half.auroc == pytest.approx(half.auroc_trained, abs=0.02)
    assert sorted(manifest.files) == ["calibration.json", "known_pictures.npz", "model.onnx", "reference.json"]


def test_a_precision_that_loses_verdicts_is_refused_and_the_layer_named(checkpoint: Path, tmp_path: Path) -> None:
    trained = load_checkpoint(checkpoint)
    overflow(trained)
    save_checkpoint(tmp_path / "checkpoint", trained)
    with pytest.raises(ParityError, match="network.members.0.to_latent gives values that are not finite") as refusal:
        build_bundle(ExportRequest(tmp_path / "checkpoint", tmp_path / "out", "fp16"))
    assert "verdict in fp16" in str(refusal.value)
    kept = tmp_path / "out.refused"
    assert {path.name for path in kept.iterdir()} == {MANIFEST, "model.onnx", "full-precision.onnx"}
    assert load_bundle(kept, refused_too=True).manifest.parity[1].largest_difference == float("inf")


def test_int8_and_an_engine_built_ahead(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOLERANCE, "int8", 1.0)  # what so small a network needs
    order = ExportRequest(checkpoint, tmp_path / "out", "int8", ("sm89",), max_batch=16, allow_flips=20)
    bundle = build_bundle(order)
    engine = bundle.manifest.engines[0]
    assert (engine.api, engine.compute_capability, engine.gpu) == ("tensorrt_rtx", (8, 9), None)
    assert engine.batches == (1, 8, 16)
    assert engine.model_sha256 == bundle.manifest.model_sha256
    assert [row.precision for row in bundle.manifest.parity] == ["fp32", "int8"]
    assert {engine.file, engine.file.replace(".plan", ".log")} < set(bundle.manifest.files)
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load(bundle.model).graph.node)


def test_int8_that_costs_too_much_is_refused_and_can_be_looked_at(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOLERANCE, "int8", 1e-4)
    with pytest.raises(ParityError, match="only 0 of 14 convolutions can be int8 .* or --allow-flips"):
        build_bundle(ExportRequest(checkpoint, tmp_path / "out", "int8"))
    assert load_bundle(tmp_path / "out.refused", refused_too=True).manifest.parity[1].precision == "int8"


def test_a_few_pictures_prove_little_and_none_are_told_with_the_remedy(
    checkpoint: Path, parts: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(next((parts / "test" / "good").iterdir()), few)
    build_bundle(ExportRequest(checkpoint, tmp_path / "out", parity_data=str(few)))
    assert "only 1 pictures to prove parity on" in capfd.readouterr().err
    with pytest.raises(DataError, match="no pictures to prove parity on: .*nowhere.* Name others with --parity-data"):
        build_bundle(ExportRequest(checkpoint, tmp_path / "other", parity_data=str(tmp_path / "nowhere")))
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_built_for_is_told_before_anything_is_done(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sm90: TensorRT for RTX builds for sm75, .*sm121"):
        build_bundle(ExportRequest(checkpoint, tmp_path / "out", targets=("sm90",)))
    assert not list(tmp_path.iterdir())


def test_missing_checkpoint_and_missing_parity_pictures_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        build_bundle(ExportRequest(tmp_path / "absent", tmp_path / "out"))
    with pytest.raises(DataError):
        build_bundle(ExportRequest(checkpoint, tmp_path / "out", parity_data=str(tmp_path / "nowhere")))


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
