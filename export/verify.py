"""Verifying a bundle where it is used: parity again, with the backend that is there, and without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.datasets.dataset import Sample, labelled_samples
from core.errors import DataError, ParityError
from export.parity import ParitySet, backend_errors, exam_frames, examine, faults
from export.reference import load_reference, picture_sha256
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.manifest import Parity
from runtime.inference.onnx_backend import OnnxBackend
from runtime.inference.selection import at_work, open_backend
from runtime.inference.settings import BackendSettings, Kind

TRAINED, ON_CPU = "the trained model", "ONNX Runtime on the CPU"


@dataclass(frozen=True)
class Verified:
    """What was compared with what."""

    parity: Parity
    against: str
    pictures: int
    """In the data; `parity.pictures` of them were compared."""


def verify_bundle(path: Path, data: str, kind: Kind, max_batch: int) -> Verified:
    """Let the backend of this machine judge pictures, and compare.

    Pictures that the export has seen are compared with what the trained model said of them then. If there are none,
    the backend is compared with ONNX Runtime on the CPU. Raises ParityError where they differ, DataError where neither
    comparison can be made, and what loading a bundle and opening a backend raise.
    """
    bundle = load_bundle(path)
    reference = load_reference(bundle)
    digests = {sample: digest for sample in labelled_samples(data) if (digest := picture_sha256(sample))}
    samples = [*digests]
    if not samples:
        raise DataError(f"{data}: none of its pictures can be read.")
    answers = {sample: reference[digest] for sample, digest in digests.items() if digest in reference}
    with at_work(open_backend(BackendSettings(kind=kind), bundle, max_batch)) as backend:
        if not answers and backend.name.endswith("/cpu"):
            raise DataError(
                f"{data}: the export has seen none of these {len(samples)} pictures, and the backend here is {ON_CPU}, "
                "which would be compared with itself; give pictures that the export compared."
            )
        exam = _known_exam(bundle, answers) if answers else _cpu_exam(bundle, samples, max_batch)
        parity = examine(backend, exam, bundle.manifest.precision)
    fault = faults(parity, flips_allowed(bundle, parity.pictures))
    if fault:
        raise ParityError(f"{path} with {parity.backend}: {fault} Do not use it here; build it again on this machine.")
    return Verified(parity, TRAINED if answers else ON_CPU, len(samples))


def _known_exam(bundle: Bundle, answers: Mapping[Sample, NDArray[np.float32]]) -> ParitySet:
    frames, samples = exam_frames(list(answers), bundle.manifest.input)
    errors = np.stack([answers[sample] for sample in samples])
    return ParitySet(frames, samples, errors, bundle.manifest.thresholds)


def _cpu_exam(bundle: Bundle, samples: Sequence[Sample], max_batch: int) -> ParitySet:
    frames, read = exam_frames(samples, bundle.manifest.input)
    with at_work(OnnxBackend(bundle, max_batch)) as cpu:
        return ParitySet(frames, read, backend_errors(cpu, frames), bundle.manifest.thresholds)


def flips_allowed(bundle: Bundle, pictures: int) -> int:
    """As large a share of these pictures as the export let pass of its own, and no picture more."""
    lower = (row for row in bundle.manifest.parity if row.precision != "fp32" and row.pictures)
    return max((row.verdict_flips * pictures // row.pictures for row in lower), default=0)
