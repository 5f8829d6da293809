"""The reference: the trained model's own answers to the export's pictures, to ask a box without torch again."""

import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.datasets.dataset import Sample
from core.errors import ArtifactError
from core.files import require_file, sha256_of
from core.printable import printable
from export.parity import ParitySet
from runtime.bundles.bundle import Bundle

REFERENCE = "reference.json"
"""In a bundle: the errors (K + 1) that the trained model gave, by the sha256 of the picture's file."""


def save_reference(path: Path, exam: ParitySet) -> None:
    """Write the exam's answers."""
    told = zip(exam.samples, exam.errors.astype(float).tolist(), strict=True)
    answers = {digest: errors for sample, errors in told if (digest := picture_sha256(sample))}
    path.write_text(json.dumps(answers, indent=0) + "\n", encoding="utf-8")


def picture_sha256(sample: Sample) -> str | None:
    """sha256 of a picture's file; None where it cannot be read, which is told."""
    try:
        return sha256_of(require_file(sample.path))
    except OSError as error:
        sys.stderr.write(f"skipped: {printable(sample.path)}: cannot be read ({error.strerror}).\n")
        return None


def load_reference(bundle: Bundle) -> dict[str, NDArray[np.float32]]:
    """Read the answers that a bundle holds; none, where it was made by hand. Raises ArtifactError."""
    if REFERENCE not in bundle.manifest.files:
        return {}
    outputs = (len(bundle.manifest.thresholds.values),)
    try:
        answers = json.loads(bundle.read(REFERENCE))
        found = {digest: np.asarray(errors, np.float32) for digest, errors in answers.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{bundle.path}: {REFERENCE} is damaged or of another version; export it again.") from error
    if any(errors.shape != outputs for errors in found.values()):
        raise ArtifactError(f"{bundle.path}: {REFERENCE} is not of this model; export it again.")
    return found
