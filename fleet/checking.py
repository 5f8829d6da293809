"""The check of a bundle on the box where it is to judge, before it does."""

from pathlib import Path

from export.verify import verify_bundle
from runtime.inference.detector import open_detector
from runtime.settings import InspectionSettings


def check(folder: Path, inspection: InspectionSettings, pictures: Path | None) -> None:
    """Check hashes and signature, and let this box's backend judge the bundle's own pictures and those in `pictures`.

    Raises ArtifactError, BackendError, DataError or ParityError where the bundle is no good here.
    """
    key, backend, max_batch = inspection.asked
    open_detector(folder, key, backend, max_batch).backend.close()
    if pictures is not None:
        verify_bundle(folder, str(pictures), backend.kind, max_batch)
