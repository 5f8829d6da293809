"""Building a bundle: export, prove, build engines, and only then put it where it was asked for."""

import platform
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from core.errors import BackendError, ConfigError, DataError, ParityError
from export.blame import worst_layer
from export.engines import Target, build_engine, parse_target
from export.graph import export_onnx
from export.parity import Exam, exam_frames, examine, faults
from export.quantise import CALIBRATION_PICTURES, Quantiser, quantise
from export.reference import REFERENCE, save_reference
from export.step import console, step
from runtime.backend import Backend, OnnxBackend
from runtime.bundle import (
    MANIFEST,
    MODEL,
    Bundle,
    Engine,
    Manifest,
    Parity,
    Precision,
    load_bundle,
    save_manifest,
    sha256_of,
)
from runtime.choice import open_backend
from runtime.engine import choose_engine, look
from runtime.settings import BackendSettings
from training.checkpoint import Checkpoint, load_checkpoint
from training.dataset import read_frames, training_samples
from training.inspector import judge

FULL_PRECISION = "full-precision.onnx"
"""The graph in fp32 beside one in lower precision; kept only where the bundle is refused."""

_UNITS = {
    ("pixels", "squared"): "mean squared pixel error",
    ("features", "squared"): "mean squared feature error, 1 is usual of a good part",
    ("features", "cosine"): "1 - cosine of features, 1 is usual of a good part",
}


@dataclass(frozen=True)
class Order:
    """What is asked of an export."""

    checkpoint: Path
    output: Path
    precision: Precision = "fp32"
    targets: tuple[str, ...] = ()
    """`sm89`, or `here`: see `export.engines`."""
    max_batch: int = 8
    """The largest batch that engines take."""
    parity_data: str | None = None
    """None: the data that the checkpoint was trained on."""
    allow_flips: int = 0
    """So many pictures may change their verdict in a lower precision."""


def build_bundle(order: Order) -> Bundle:
    """Export a checkpoint into a bundle folder, after proving parity on real pictures.

    Raises ParityError where the exported model judges differently; what was made then stays beside the output with the
    suffix `.refused`. Raises ArtifactError, BackendError, ConfigError or DataError for what is missing.
    """
    _require_replaceable(order.output)
    targets = [parse_target(text) for text in order.targets]
    with step("load checkpoint"):
        checkpoint = load_checkpoint(order.checkpoint)
    work = order.output.with_name(f".{order.output.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        _Export(order, checkpoint, work).run(targets)
    except ParityError as error:
        refused = order.output.with_name(f"{order.output.name}.refused")
        shutil.rmtree(refused, ignore_errors=True)
        work.rename(refused)
        raise ParityError(f"{error} The bundle is refused; what was made is kept in {refused}.") from error
    shutil.rmtree(order.output, ignore_errors=True)
    work.rename(order.output)
    return load_bundle(order.output)


class _Export:
    """One export under way: the manifest in the work folder always tells what has been proven so far."""

    def __init__(self, order: Order, checkpoint: Checkpoint, work: Path) -> None:
        self._order, self._checkpoint, self._work = order, checkpoint, work
        self._model = work / MODEL
        self._parities: list[Parity] = []

    def run(self, targets: Sequence[Target]) -> None:
        precision = self._order.precision
        with step("export and check ONNX"):
            export_onnx(self._checkpoint, self._model)
        with step("judge real pictures with PyTorch"):
            self._exam = self._set_exam()
        self._prove("fp32")
        if precision != "fp32":
            full = self._model.rename(self._work / FULL_PRECISION)
            if precision == "fp16":
                with step("export and check ONNX in fp16"):
                    export_onnx(self._checkpoint, self._model, half=True)
            else:
                with step("quantise to int8 by what good pictures show"):
                    self._quantise(full, symmetric=bool(targets))
            self._prove(precision, full)
        engines = []
        for target in targets:
            with step(f"build engine {target.name}"):
                engines.append(build_engine(self._model, target, self._order.max_batch, self._work))
        (self._work / FULL_PRECISION).unlink(missing_ok=True)
        save_reference(self._work / REFERENCE, self._exam)
        self._save(engines)
        if engines:
            self._prove_engine(engines)

    def _set_exam(self) -> Exam:
        data = self._order.parity_data or self._checkpoint.settings.data
        frames, samples = exam_frames(data, self._manifest())
        return Exam(frames, samples, judge(self._checkpoint.inspector, frames)[0], self._checkpoint.thresholds)

    def _prove(self, precision: Precision, full: Path | None = None) -> None:
        with step(f"compare {precision} with PyTorch on {len(self._exam.samples)} pictures"):
            parity = self._examine(self._open_onnx(), precision)
        self._parities.append(parity)
        self._save()
        fault = faults(parity, self._order.allow_flips if full else 0)
        if fault:
            blame = worst_layer(full, self._model, self._exam.frames_bgr_u8[:8]) if full else None
            raise ParityError(f"{fault} {blame or 'Not a precision, the export itself is to blame'}.")

    def _prove_engine(self, engines: Sequence[Engine]) -> None:
        """Where a GPU is at hand that one of the engines runs on; else say that none was proven."""
        bundle = Bundle(path=self._work, manifest=self._manifest(engines))
        machine = look(bundle)
        try:
            choose_engine(bundle, machine, self._order.max_batch)
        except BackendError as error:
            why = machine.gpu if isinstance(machine.gpu, str) else error
            console.print(f"engines: not run here ({why}); on the box: export-engine verify", soft_wrap=True)
            return
        with step("compare the engine with PyTorch"):
            backend = open_backend(BackendSettings(kind="tensorrt"), bundle, self._order.max_batch)
            parity = self._examine(backend, self._order.precision)
        self._parities.append(parity)
        self._save(engines)
        fault = faults(parity, self._order.allow_flips)
        if fault:
            raise ParityError(f"{parity.backend}: {fault}")

    def _quantise(self, full: Path, symmetric: bool) -> None:
        def passes() -> bool:
            return faults(self._examine(self._open_onnx(), "int8"), self._order.allow_flips) is None

        with Quantiser(full, self._good_frames(), self._checkpoint.thresholds, symmetric) as quantiser:
            left = quantise(quantiser, self._model, passes)
            share = f"{len(quantiser.layers) - len(left)} of {len(quantiser.layers)} convolutions in int8"
        console.print(f"{share}; the rest cost too much{': ' + ', '.join(left[:3]) if left else ''}")

    def _good_frames(self) -> NDArray[np.uint8]:
        network, data = self._checkpoint.settings.network, self._checkpoint.settings.data
        try:
            samples = training_samples(data)
        except DataError as error:
            raise DataError(f"int8 needs the good pictures of the training to find its ranges: {error}") from error
        chosen = np.unique(np.linspace(0, len(samples) - 1, CALIBRATION_PICTURES).round().astype(int))
        return read_frames([samples[i] for i in chosen], network.height, network.width, network.part_size).bgr_u8

    def _examine(self, backend: Backend, precision: Precision) -> Parity:
        with closing(backend):
            return examine(backend, self._exam, precision)

    def _open_onnx(self) -> Backend:
        return OnnxBackend(Bundle(path=self._work, manifest=self._manifest()), max_batch=8)

    def _save(self, engines: Sequence[Engine] = ()) -> None:
        save_manifest(self._work, self._manifest(engines))

    def _manifest(self, engines: Sequence[Engine] = ()) -> Manifest:
        settings = self._checkpoint.settings
        files = sorted(path for path in self._work.rglob("*") if path.is_file() and path.name != MANIFEST)
        return Manifest(
            name=settings.name,
            created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            height=settings.network.height,
            width=settings.network.width,
            grid=settings.network.grid,
            part_size=settings.network.part_size,
            precision=self._parities[-1].precision if self._parities else "fp32",
            score_unit=_UNITS[settings.score.space, settings.score.distance],
            thresholds=self._checkpoint.thresholds,
            parity=tuple(self._parities),
            engines=tuple(engines),
            provenance={
                "settings": settings.model_dump(mode="json"),
                "training": self._checkpoint.provenance,
                "checkpoint_sha256": sha256_of(self._order.checkpoint),
                "versions": {
                    "python": platform.python_version(),
                    "onnx": onnx.__version__,
                    "onnxruntime": onnxruntime.__version__,
                },
            },
            files={path.relative_to(self._work).as_posix(): sha256_of(path) for path in files},
        )


def _require_replaceable(output: Path) -> None:
    """Refuse to write over anything that is not a bundle."""
    if output.exists() and not (output / MANIFEST).is_file() and not (output.is_dir() and not any(output.iterdir())):
        raise ConfigError(f"{output}: exists and is no bundle; choose another --output.")
