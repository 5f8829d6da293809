"""Sizes: where a camera's own region is of another size than what a model was trained on, that is told."""

import logging

from runtime.inference.models import Models
from runtime.settings import InspectionSettings

log = logging.getLogger(__name__)


def warn_of_sizes(settings: InspectionSettings, models: Models) -> None:
    """Tell of each such region, once a model."""
    for model in models.each:
        manifest = model.origin.manifest
        for stream, own in settings.regions.items():
            if manifest.roi is not None and own is not None and own[2:] != manifest.roi[2:]:
                log.warning(
                    "camera %s: judges %d x %d pixels, and the model %s was trained on %d x %d: what it takes for a "
                    "good part is of another size remedy=%r",
                    stream,
                    *own[2:],
                    manifest.name,
                    *manifest.roi[2:],
                    "leave `roi` out to judge the region that the bundle names",
                )
