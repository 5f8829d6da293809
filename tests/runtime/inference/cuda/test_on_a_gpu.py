"""What only a real GPU shows: a real illegal access, `verify` of an engine, training in bf16. `make test-gpu`."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from core.datasets.dataset import labelled_samples
from core.datasets.frames import read_frames
from runtime.batching.fitting import fit_on_cpu
from runtime.bundles.bundle import load_bundle
from runtime.inference.cuda.gpu_fit import GpuFit
from runtime.parts.layout import Layout
from tests.runtime.a_gpu import prepare, require_gpu
from tests.runtime.frames_kernel import noise

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).resolve().parents[3]
EXPORT = [sys.executable, "-c", "from export.cli import export_engine; export_engine()"]

ILLEGAL = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, "tools")
from illegal_access import access_illegally
from runtime.bundles.bundle import load_bundle
from runtime.inference.cuda import gpu
from runtime.inference.backend import BackendFault
from runtime.inference.selection import open_backend
from runtime.inference.settings import BackendSettings

bundle = load_bundle(Path(sys.argv[1]))
open_it = lambda: open_backend(BackendSettings(kind=sys.argv[2]), bundle, 4)
backend = open_it()
buffer = backend.new_batch()
def spoil():
    try:
        access_illegally()
    except gpu.CudaError:
        pass
if sys.argv[2] == "tensorrt":
    backend.on_gpu(spoil).result()
else:
    backend.do(spoil).result()
try:
    backend.submit(buffer[:2]).errors()
    print("no fault")
except BackendFault as fault:
    print("sticky" if fault.is_sticky else "not sticky", fault)
backend.close()
buffer[:] = 1
try:
    again = open_it()
    again.submit(again.new_batch()[:2]).errors()
    print("opened again")
    again.close()
except Exception as error:
    print("stays:", error)
"""


@pytest.mark.parametrize("kind", ["tensorrt", "onnxruntime-cuda"])
def test_a_real_illegal_access_is_a_sticky_fault_that_a_new_context_or_a_new_process_is_rid_of(
    kind: str, checkpoint: Path, tmp_path: Path
) -> None:
    require_gpu()
    exported = tmp_path / "disc.bundle"
    subprocess.run([*EXPORT, str(checkpoint), "--output", str(exported)], check=True, capture_output=True)
    prepare(kind, exported)
    command = [sys.executable, "-c", ILLEGAL, str(exported), kind]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr  # it is no crash
    assert lines[0].startswith("sticky"), lines
    assert lines[1].startswith(("opened again", "stays:")), lines
    fresh = subprocess.run([*EXPORT, "verify", str(exported)], capture_output=True, text=True, check=False)
    assert fresh.returncode == 0, fresh.stderr


@pytest.mark.parametrize("kind", ["tensorrt", "onnxruntime-cuda"])
def test_a_bundle_is_verified_on_the_gpu_that_runs_it(kind: str, checkpoint: Path, parts: Path, tmp_path: Path) -> None:
    require_gpu()
    exported = tmp_path / "disc.bundle"
    subprocess.run([*EXPORT, str(checkpoint), "--output", str(exported)], check=True, capture_output=True)
    prepare(kind, exported)
    command = [*EXPORT, "verify", str(exported), "--data", str(parts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    name = load_bundle(exported).manifest.engines[0].api if kind == "tensorrt" else "/cuda"
    assert name in done.stdout.replace("\n", "")


def test_frames_of_every_layout_become_the_cpus_rows() -> None:
    require_gpu()
    fit = GpuFit(0, (144, 144))
    layouts: list[Layout] = list(get_args(Layout))
    rows = [np.zeros((144, 144, 3), np.uint8) for _ in range(2)]
    for number in range(60):
        layout, roi = layouts[number % 6], (number, 2 * number, 200 + 37 * number, 100 + 31 * number)
        pixels = noise(number, (2048, 2448, 3) if layout in ("BGR", "RGB") and number % 4 else (2048, 2448))
        layout = "BGR" if pixels.ndim == 2 and layout == "RGB" else layout
        fit(pixels, layout, rows[0], roi)
        fit_on_cpu(pixels, layout, rows[1], roi)
        assert np.abs(rows[0].astype(np.int16) - rows[1]).max() <= 1, (layout, roi)
    fit.close()


def test_training_in_bf16_gives_a_detector_that_the_cpu_judges_with_alike(checkpoint: Path, parts: Path) -> None:
    import torch

    from training.detector.checkpoint import load_checkpoint
    from training.detector.inspector import judge

    require_gpu()
    assert torch.cuda.is_available(), "torch has no CUDA: the checkpoint was trained on the CPU"
    trained = load_checkpoint(checkpoint)
    assert all(np.isfinite(loss) for loss in trained.provenance["losses"].values())
    chosen = trained.settings.network
    frames = read_frames(labelled_samples(str(parts)), chosen.input).bgr_u8
    errors = {kind: judge(trained.inspector, frames, kind)[0] for kind in ("cpu", "cuda")}
    shares = np.abs(errors["cuda"] - errors["cpu"]) / np.array(trained.thresholds.values)
    assert shares.max() < 1e-3
