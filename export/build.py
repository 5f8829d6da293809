"""Building a bundle: export, prove, build engines, and only then put it where it was asked for."""

import platform
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from core.dataset import labelled_samples, read_frames, spread, training_samples
from core.errors import BackendError, DataError, ParityError
from core.progress import console, step
from export.engines import Target, build_engine, parse_target
from export.graph import export_onnx
from export.layer_difference import worst_layer
from export.parity import ParitySet, exam_frames, examine, faults
from export.quantise import CALIBRATION_PICTURES, Quantiser, quantise
from export.reference import REFERENCE, save_reference
from export.staging import put, require_replaceable, work_folder
from runtime.bundles.bundle import Bundle, load_bundle, save_manifest, sha256_of
from runtime.bundles.calibration import save_calibration
from runtime.bundles.known_pictures import TOLERANCE, save_known_pictures
from runtime.bundles.manifest import MANIFEST, MODEL, Engine, Manifest, Parity
from runtime.bundles.precision import Precision
from runtime.inference.backend import Backend
from runtime.inference.engine_fit import choose_engine, look
from runtime.inference.onnx_backend import OnnxBackend
from training.checkpoint import Checkpoint, load_checkpoint
from training.inspector import judge

FULL_PRECISION = "full-precision.onnx"
"""The graph in fp32 beside one in lower precision; kept only where the bundle is refused."""
FEW_PICTURES = 20
BLAME_PICTURES = 2
"""All that a graph computes of them is held in memory."""
_UNITS = {
    ("pixels", "squared"): "mean squared pixel error",
    ("features", "squared"): "mean squared feature error, 1 is usual of a good part",
    ("features", "cosine"): "1 - cosine of features, 1 is usual of a good part",
}


@dataclass(frozen=True)
class ExportRequest:
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


def build_bundle(order: ExportRequest) -> Bundle:
    """Export a checkpoint into a bundle folder, after proving parity on real pictures.

    An older bundle at the output goes only when the new one is whole. Raises ParityError where the exported model
    judges differently; what was made then stays beside the output with the suffix `.refused`. Raises ArtifactError,
    BackendError, ConfigError or DataError for what is missing.
    """
    refused = order.output.with_name(f"{order.output.name}.refused")
    for place in (order.output, refused):
        require_replaceable(place)
    targets = [parse_target(text) for text in dict.fromkeys(order.targets)]
    with step("load checkpoint"):
        checkpoint = load_checkpoint(order.checkpoint)
    with work_folder(order.output) as work:
        try:
            _Export(order, checkpoint, work).run(targets)
        except ParityError as error:
            put(work, refused)
            raise ParityError(f"{error} The bundle is refused; what was made is kept in {refused}.") from error
        put(work, order.output)
    shutil.rmtree(refused, ignore_errors=True)
    return load_bundle(order.output)


class _Export:
    """One export under way: the manifest in the work folder tells what has been proven so far."""

    def __init__(self, order: ExportRequest, checkpoint: Checkpoint, work: Path) -> None:
        self._order, self._checkpoint, self._work = order, checkpoint, work
        self._model, self._full = work / MODEL, work / FULL_PRECISION
        self._checkpoint_sha256 = sha256_of(order.checkpoint)
        self._parities: list[Parity] = []
        self._engines: list[Engine] = []

    def run(self, targets: Sequence[Target]) -> None:
        precision = self._order.precision
        with step("judge real pictures with PyTorch"):
            self._exam = self._set_exam()
        with step("export and check ONNX"):
            export_onnx(self._checkpoint, self._model)
        self._prove("fp32")
        if precision != "fp32":
            self._lower(precision, symmetric=bool(targets))
        for target in targets:
            with step(f"build engine {target.name}"):
                self._engines.append(build_engine(self._model, target, self._order.max_batch, self._work))
        self._full.unlink(missing_ok=True)
        save_reference(self._work / REFERENCE, self._exam)
        save_known_pictures(self._work, self._exam.frames_bgr_u8[[0, -1]], self._exam.errors[[0, -1]])
        calibration = self._checkpoint.calibration
        save_calibration(self._work, calibration.names, calibration.errors)
        manifest = self._save()
        if self._engines:
            self._prove_engine(Bundle(path=self._work, manifest=manifest))

    def _set_exam(self) -> ParitySet:
        data = self._order.parity_data or self._checkpoint.settings.data
        try:
            frames, samples = exam_frames(labelled_samples(data), self._manifest())
        except DataError as error:
            raise DataError(f"no pictures to prove parity on: {error} Name others with --parity-data.") from error
        if len(samples) < FEW_PICTURES:
            console.print(f"only {len(samples)} pictures to prove parity on, which proves little: give {FEW_PICTURES}")
        return ParitySet(frames, samples, judge(self._checkpoint.inspector, frames)[0], self._checkpoint.thresholds)

    def _lower(self, precision: Precision, symmetric: bool) -> None:
        """Put a graph in lower precision in the place of the full one, and prove it."""
        self._model.rename(self._full)
        if precision == "fp16":
            with step("export and check ONNX in fp16"):
                export_onnx(self._checkpoint, self._model, half=True)
            self._prove(precision)
            return
        with (
            step("quantise to int8 by what good pictures show"),
            Quantiser(self._full, self._good_frames(), self._checkpoint.thresholds, symmetric) as quantiser,
        ):
            layers = len(quantiser.layers)
            left = quantise(
                quantiser, self._model, lambda: self._fault(self._examine(self._open_onnx(), "int8")) is None
            )
        console.print(f"{layers - len(left)} of {layers} convolutions in int8", soft_wrap=True)
        self._prove(precision)
        if len(left) > layers / 2:
            self._refuse(
                f"only {layers - len(left)} of {layers} convolutions can be int8 with errors within "
                f"{TOLERANCE['int8']:.0%} of their thresholds and {self._order.allow_flips} changed verdicts; most is "
                f"lost in {', '.join(left[:3])}. Use --precision fp16 (fp32 on a CPU), or --allow-flips."
            )

    def _prove(self, precision: Precision) -> None:
        with step(f"compare {precision} with PyTorch on {len(self._exam.samples)} pictures"):
            parity = self._examine(self._open_onnx(), precision)
        self._parities.append(parity)
        self._save()
        fault = self._fault(parity)
        if fault and precision == "fp32":
            self._refuse(f"{fault} Not a precision, the export itself is to blame.")
        elif fault:
            blame = worst_layer(self._full, self._model, self._exam.frames_bgr_u8[:BLAME_PICTURES])
            self._refuse(f"{fault} {blame}.")

    def _prove_engine(self, bundle: Bundle) -> None:
        """Where a GPU is at hand that one of the engines runs on; else say that none was proven."""
        from runtime.inference.tensorrt_backend import TensorRtBackend

        machine = look(bundle)
        try:
            engine = choose_engine(bundle, machine, self._order.max_batch)
        except BackendError as error:
            why = machine.gpu if isinstance(machine.gpu, str) else error
            console.print(f"engines: not run here ({why}); on the box: export-engine verify", soft_wrap=True)
            return
        with step("compare the engine with PyTorch"):
            parity = self._examine(TensorRtBackend(bundle, engine, self._order.max_batch), self._order.precision)
        self._parities.append(parity)
        self._save()
        fault = self._fault(parity)
        if fault:
            self._refuse(f"{parity.backend}: {fault}")

    def _fault(self, parity: Parity) -> str | None:
        return faults(parity, 0 if parity.precision == "fp32" else self._order.allow_flips)

    def _refuse(self, reason: str) -> NoReturn:
        """Let the manifest say why no station may take it."""
        self._save(refused=reason)
        raise ParityError(reason)

    def _good_frames(self) -> NDArray[np.uint8]:
        network, data = self._checkpoint.settings.network, self._checkpoint.settings.data
        try:
            samples = training_samples(data)
        except DataError as error:
            raise DataError(f"int8 needs the good pictures of the training to find its ranges: {error}") from error
        chosen = spread(samples, CALIBRATION_PICTURES)
        return read_frames(chosen, network.height, network.width, network.part_size).bgr_u8

    def _examine(self, backend: Backend, precision: Precision) -> Parity:
        with closing(backend):
            return examine(backend, self._exam, precision)

    def _open_onnx(self) -> Backend:
        manifest = self._manifest().model_copy(update={"files": {MODEL: sha256_of(self._model)}})
        return OnnxBackend(Bundle(path=self._work, manifest=manifest), max_batch=8)

    def _save(self, refused: str | None = None) -> Manifest:
        paths = sorted(path for path in self._work.rglob("*") if path.is_file() and path.name != MANIFEST)
        files = {path.relative_to(self._work).as_posix(): sha256_of(path) for path in paths}
        manifest = self._manifest().model_copy(update={"files": files, "refused": refused})
        save_manifest(self._work, manifest)
        return manifest

    def _manifest(self) -> Manifest:
        """All but the files' hashes."""
        settings = self._checkpoint.settings
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
            engines=tuple(self._engines),
            provenance={
                "settings": settings.model_dump(mode="json"),
                "training": self._checkpoint.provenance,
                "checkpoint_sha256": self._checkpoint_sha256,
                "versions": {
                    "python": platform.python_version(),
                    "onnx": onnx.__version__,
                    "onnxruntime": onnxruntime.__version__,
                },
            },
            files={},
        )
