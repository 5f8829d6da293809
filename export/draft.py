"""The draft: a bundle that is being made, in a folder of its own. Its manifest tells what has been proven so far."""

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import onnx
import onnxruntime

from core.errors import ParityError
from core.files import sha256_of
from export.numbering import next_number
from export.parity import ParitySet
from export.reference import REFERENCE, save_reference
from runtime.bundles.bundle import Bundle, save_manifest
from runtime.bundles.calibration import save_calibration
from runtime.bundles.known_pictures import save_known_pictures
from runtime.bundles.manifest import MANIFEST, MODEL, Engine, Manifest, Parity
from training.detector.checkpoint import Checkpoint, load_checkpoint

FULL_PRECISION = "full-precision.onnx"
"""The graph in fp32 beside one in lower precision; kept only where the bundle is refused."""
_UNITS = {
    ("pixels", "squared"): "mean squared pixel error",
    ("features", "squared"): "mean squared feature error, 1 is usual of a good part",
    ("features", "cosine"): "1 - cosine of features, 1 is usual of a good part",
}
_UNIT_WITH_MEMORY = "distance of features, 1 is usual of a good part"


class Draft:
    """Graphs, engines and proofs of one checkpoint, as far as they have come."""

    def __init__(self, checkpoint: Path, folder: Path, output: Path) -> None:
        """Begin a bundle of the file `checkpoint` in the empty `folder`; it is to lie at `output`.

        Raises ArtifactError where the checkpoint cannot be read.
        """
        self.checkpoint: Checkpoint = load_checkpoint(checkpoint)
        self.parities: list[Parity] = []
        self.engines: list[Engine] = []
        self.folder = folder
        self._checkpoint_sha256 = sha256_of(checkpoint)
        self._number = next_number(self.checkpoint.settings.name, output)

    @property
    def model(self) -> Path:
        """The graph."""
        return self.folder / MODEL

    @property
    def full_model(self) -> Path:
        """The graph in full precision, where `model` is in a lower one."""
        return self.folder / FULL_PRECISION

    def save_answers(self, exam: ParitySet) -> None:
        """Write what a box asks again: the trained model's answers, two pictures with theirs, the calibration."""
        save_reference(self.folder / REFERENCE, exam)
        save_known_pictures(self.folder, exam.frames_bgr_u8[[0, -1]], exam.errors[[0, -1]])
        save_calibration(self.folder, self.checkpoint.calibration)

    def save(self, refused: str | None = None) -> Bundle:
        """Write the manifest, with the hashes of all files that are there."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file() and path.name != MANIFEST)
        files = {path.relative_to(self.folder).as_posix(): sha256_of(path) for path in paths}
        manifest = self.manifest(files).model_copy(update={"refused": refused})
        save_manifest(self.folder, manifest)
        return Bundle(path=self.folder, manifest=manifest)

    def refuse(self, reason: str) -> NoReturn:
        """Let the manifest say why no station may take it. Raises ParityError."""
        self.save(refused=reason)
        raise ParityError(reason)

    def bare(self) -> Bundle:
        """Give the graph alone as a bundle, to be judged with; nothing is written."""
        return Bundle(path=self.folder, manifest=self.manifest({MODEL: sha256_of(self.model)}))

    def manifest(self, files: dict[str, str]) -> Manifest:
        """Say what is known by now; `files` are those of the bundle with their sha256."""
        settings = self.checkpoint.settings
        score = settings.score
        return Manifest(
            name=settings.name,
            number=self._number,
            created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            height=settings.network.height,
            width=settings.network.width,
            grid=settings.network.grid,
            roi=settings.network.roi,
            part_size=settings.network.part_size,
            upright=settings.network.upright,
            bits=settings.network.bits,
            precision=self.parities[-1].precision if self.parities else "fp32",
            score_unit=_UNIT_WITH_MEMORY if score.memory else _UNITS[score.space, score.distance],
            thresholds=self.checkpoint.thresholds,
            parity=tuple(self.parities),
            engines=tuple(self.engines),
            provenance={
                "settings": settings.model_dump(mode="json"),
                "training": self.checkpoint.provenance,
                "checkpoint_sha256": self._checkpoint_sha256,
                "versions": {
                    "python": platform.python_version(),
                    "onnx": onnx.__version__,
                    "onnxruntime": onnxruntime.__version__,
                },
            },
            files=files,
        )
