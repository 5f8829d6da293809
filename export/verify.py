"""Verifying a bundle where it is used: parity again, with the backend that is there, and without torch."""

from contextlib import closing
from pathlib import Path

import numpy as np

from core.errors import DataError, ParityError
from export.parity import Exam, backend_errors, exam_frames, examine, faults
from export.reference import load_reference
from runtime.backend import OnnxBackend
from runtime.bundle import Parity, load_bundle
from runtime.choice import open_backend
from runtime.settings import BackendSettings, Kind


def verify_bundle(path: Path, data: str, kind: Kind, max_batch: int) -> Parity:
    """Let the backend of this machine judge pictures, and compare.

    Pictures that the export has seen are compared with what the trained model said of them then. If there are none,
    the backend is compared with ONNX Runtime on the CPU. Raises ParityError where they differ, DataError where neither
    comparison can be made, and what loading a bundle and opening a backend raise.
    """
    bundle = load_bundle(path)
    frames, samples = exam_frames(data, bundle.manifest)
    exam = Exam(frames, samples, np.zeros((len(frames), 0), np.float32), bundle.manifest.thresholds)
    reference = load_reference(bundle)
    digests = exam.digests()
    known = [index for index, digest in enumerate(digests) if digest in reference]
    with closing(open_backend(BackendSettings(kind=kind), bundle, max_batch)) as backend:
        if known:
            errors = np.stack([reference[digests[index]] for index in known])
            exam = Exam(frames[known], tuple(samples[index] for index in known), errors, exam.thresholds)
        elif backend.name.endswith("/cpu"):
            raise DataError(
                f"{data}: the export has seen none of these {len(samples)} pictures, and the backend here is "
                "ONNX Runtime on the CPU, which would be compared with itself; give pictures that the export compared."
            )
        else:
            with closing(OnnxBackend(bundle, max_batch)) as cpu:
                exam = Exam(frames, samples, backend_errors(cpu, frames), exam.thresholds)
        parity = examine(backend, exam, bundle.manifest.precision)
    allowed = max((row.verdict_flips for row in bundle.manifest.parity), default=0)
    fault = faults(parity, allowed)
    if fault:
        raise ParityError(f"{path} with {parity.backend}: {fault} Do not use it here; build it again on this machine.")
    return parity
