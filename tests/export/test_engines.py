import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import BackendError, ConfigError
from export import engines
from export.engines import add_engines, build_engine, parse_target
from runtime.bundles.bundle import load_bundle
from runtime.bundles.manifest import MANIFEST, SIGNATURE
from runtime.inference.cuda.engine_fit import Machine, why_not
from runtime.inference.cuda.gpu import Gpu
from tests.runtime.a_gpu import has_gpu

VERSION = "1.7.1.116"


def test_targets_are_gpus_that_tensorrt_for_rtx_knows_or_this_machine() -> None:
    target = parse_target("sm120")
    assert (target.api, target.compute_capability, target.gpu, target.name) == (
        *("tensorrt_rtx", (12, 0), None),
        "tensorrt_rtx-sm120",
    )
    for wrong in ("sm90", "89", "SM89", "rtx4090"):
        with pytest.raises(ConfigError, match="builds for sm75, sm80, sm86, sm89, sm120, sm121; or give `here`"):
            parse_target(wrong)


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_here_needs_a_gpu() -> None:
    with pytest.raises(BackendError, match="here: no NVIDIA driver .*build on the machine that will run it"):
        parse_target("here")


def test_an_api_that_is_not_installed_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(engines, "import_api", absent)
    with pytest.raises(BackendError, match=r"tensorrt_rtx is missing here .* pip install '\.\[rtx\]'"):
        parse_target("sm89")


class Timings:
    """TensorRT's cache of timings, as NVIDIA's documents tell of it."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob

    def serialize(self) -> bytes:
        return self.blob or b"of this CUDA: measured anew"


class TimedConfig:
    used: Timings | None = None

    def create_timing_cache(self, blob: bytes) -> Timings | None:
        return None if blob.startswith(b"damaged") else Timings(blob)

    def set_timing_cache(self, cache: Timings, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if cache.blob.startswith(b"of another"):
            return False
        self.used = cache
        return True

    def get_timing_cache(self) -> Timings | None:
        return self.used


@pytest.mark.parametrize(
    ("kept", "then"),
    [
        (b"of this CUDA: kept", b"of this CUDA: kept"),
        *((other, b"of this CUDA: measured anew") for other in (b"", b"of another CUDA", b"damaged")),
    ],
)
def test_timings_of_another_cuda_or_damaged_ones_are_measured_anew(
    kept: bytes, then: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "p-wae" / "of.timing"
    file.parent.mkdir()
    file.write_bytes(kept)
    builder, config = SimpleNamespace(build_serialized_network=lambda *_: b"plan"), TimedConfig()
    assert engines.build_timed(builder, None, config, "of.timing") == b"plan"
    assert config.used is not None
    assert file.read_bytes() == then


def test_what_the_parser_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(BackendError, match="tensorrt_rtx-sm89: the parser refuses"):
        build_engine(tmp_path / "model.onnx", parse_target("sm89"), 8, tmp_path)


def test_engines_are_added_to_a_bundle_and_fit_their_gpu_alone(bundle_path: Path, tmp_path: Path) -> None:
    bundle = load_bundle(Path(shutil.copytree(bundle_path, tmp_path / "copy")))
    (bundle.path / SIGNATURE).write_bytes(b"of the bundle as it was")
    add_engines(bundle, [parse_target("sm75"), parse_target("sm89")], 4)
    added = add_engines(load_bundle(bundle.path), [parse_target("sm89")], 16)
    assert [(engine.compute_capability, engine.batches) for engine in added.manifest.engines] == [
        ((7, 5), (1, 4, 4)),
        ((8, 9), (1, 8, 16)),
    ]
    assert added.manifest.model_sha256 == bundle.manifest.model_sha256
    assert not (bundle.path / SIGNATURE).exists()
    versions = {"tensorrt_rtx": VERSION, "pycuda": "2026.1"}
    machine = Machine(Gpu("NVIDIA L4", (8, 9), 58), "linux-x86_64", versions, {})
    reasons = [why_not(engine, added.manifest.model_sha256, machine, 8) for engine in added.manifest.engines]
    assert reasons == ["built for sm75, this GPU is sm89", None]
    present = {path.relative_to(bundle.path).as_posix() for path in bundle.path.rglob("*") if path.is_file()}
    assert present == {MANIFEST, *added.manifest.files}


@pytest.mark.parametrize("at", ["shutil.copytree", "save_manifest"])
def test_a_bundle_stays_whole_where_engines_cannot_be_added(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    bundle = load_bundle(Path(shutil.copytree(bundle_path, tmp_path / "copy")))
    before = add_engines(bundle, [parse_target("sm89")], 4).manifest
    (bundle.path / SIGNATURE).write_bytes(b"of it")

    def full(source: Path, target: Any, **_options: bool) -> None:
        for log in source.glob("*.log"):
            shutil.copy(log, target)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"export.engines.{at}", full)
    with pytest.raises(ConfigError, match="No space left on device.*free space"):
        add_engines(load_bundle(bundle.path), [parse_target("sm89"), parse_target("sm75")], 16)
    assert load_bundle(bundle.path).manifest == before
    present = {path.relative_to(bundle.path).as_posix() for path in bundle.path.rglob("*") if path.is_file()}
    assert present == {MANIFEST, SIGNATURE, *before.files}


def test_an_int8_graph_for_a_cpu_gets_no_engine(bundle_path: Path) -> None:
    bundle = load_bundle(bundle_path)
    asymmetric = bundle.model_copy(update={"manifest": bundle.manifest.model_copy(update={"precision": "int8"})})
    with pytest.raises(ConfigError, match="export it again with --target"):
        add_engines(asymmetric, [parse_target("sm89")], 4)
