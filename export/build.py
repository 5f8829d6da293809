"""Building a bundle: export, prove, and only then put it where it was asked for."""

import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from rich.console import Console

from core.errors import ConfigError, ParityError
from export.graph import export_onnx
from export.parity import backend_errors, compare, require_parity
from runtime.backend import OnnxBackend
from runtime.bundle import MANIFEST, MODEL, Bundle, Manifest, Parity, load_bundle, save_manifest, sha256_of
from training.checkpoint import Checkpoint, load_checkpoint
from training.dataset import labelled_samples, read_frames
from training.inspector import judge

PARITY_PICTURES = 100
"""Pictures compared, spread evenly over the parity data."""

_UNITS = {
    ("pixels", "squared"): "mean squared pixel error",
    ("features", "squared"): "mean squared feature error, 1 is usual of a good part",
    ("features", "cosine"): "1 - cosine of features, 1 is usual of a good part",
}


def build_bundle(checkpoint_path: Path, output: Path, parity_data: str | None) -> Bundle:
    """Export the checkpoint into the bundle folder `output`, after proving parity on real pictures.

    `parity_data` None takes the data set that the checkpoint was trained on. Raises ParityError where the exported
    model judges differently; what was made then stays beside `output` with the suffix `.refused`.
    """
    console = Console(stderr=True)
    with _step(console, "load checkpoint"):
        checkpoint = load_checkpoint(checkpoint_path)
    _require_replaceable(output)
    work = output.with_name(f".{output.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with _step(console, "export and check ONNX"):
        export_onnx(checkpoint, work / MODEL)
    manifest = _manifest(checkpoint, work)
    with _step(console, "compare with PyTorch on real pictures"):
        parity = _prove(checkpoint, Bundle(path=work, manifest=manifest), parity_data or checkpoint.settings.data)
    save_manifest(work, manifest.model_copy(update={"parity": (parity,)}))
    console.print(
        f"parity on {parity.pictures} pictures: largest difference {parity.largest_difference:.2g} of a threshold, "
        f"mean {parity.mean_difference:.2g}, verdict flips {parity.verdict_flips}"
    )
    try:
        require_parity(parity, manifest.precision)
    except ParityError as error:
        refused = output.with_name(f"{output.name}.refused")
        shutil.rmtree(refused, ignore_errors=True)
        work.rename(refused)
        raise ParityError(f"{error} The bundle is refused; what was made is kept in {refused}.") from error
    shutil.rmtree(output, ignore_errors=True)
    work.rename(output)
    return load_bundle(output)


def _prove(checkpoint: Checkpoint, bundle: Bundle, data: str) -> Parity:
    samples = labelled_samples(data)
    chosen = np.unique(np.linspace(0, len(samples) - 1, PARITY_PICTURES).round().astype(int))
    manifest = bundle.manifest
    frames = read_frames([samples[i] for i in chosen], manifest.height, manifest.width, manifest.part_size)
    reference, _ = judge(checkpoint.inspector, frames.bgr_u8)
    backend = OnnxBackend(bundle, max_batch=8)
    exported = backend_errors(backend, frames.bgr_u8)
    backend.close()
    return compare(reference, exported, checkpoint.thresholds)


def _manifest(checkpoint: Checkpoint, work: Path) -> Manifest:
    settings = checkpoint.settings
    versions = {
        "python": platform.python_version(),
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
    return Manifest(
        name=settings.name,
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        height=settings.network.height,
        width=settings.network.width,
        grid=settings.network.grid,
        part_size=settings.network.part_size,
        precision="fp32",
        score_unit=_UNITS[settings.score.space, settings.score.distance],
        thresholds=checkpoint.thresholds,
        provenance={
            "settings": settings.model_dump(mode="json"),
            "training": checkpoint.provenance,
            "versions": versions,
        },
        files={MODEL: sha256_of(work / MODEL)},
    )


def _require_replaceable(output: Path) -> None:
    """Refuse to write over anything that is not a bundle."""
    if output.exists() and not (output / MANIFEST).is_file() and not (output.is_dir() and not any(output.iterdir())):
        raise ConfigError(f"{output}: exists and is no bundle; choose another --output.")


@contextmanager
def _step(console: Console, name: str) -> Iterator[None]:
    """Show a step and the time it took."""
    started = time.perf_counter()
    with console.status(name):
        yield
    console.print(f"{name}: {time.perf_counter() - started:.1f} s")
