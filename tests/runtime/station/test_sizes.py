"""A region of another size than what a model was trained on is told, once a model."""

from pathlib import Path
from typing import Any

import pytest

from runtime.bundles.site_thresholds import SiteThresholds
from runtime.events.origin import Origin
from runtime.inference.model_in_use import ModelInUse
from runtime.inference.models import Models
from runtime.settings import InspectionSettings
from runtime.station.simulating.simulated_backend import SimulatedBackend, invented_manifest
from runtime.station.sizes import warn_of_sizes


@pytest.mark.parametrize(
    ("camera", "warned"),
    [({}, 0), ({"roi": [5, 5, 20, 10]}, 0), ({"roi": [5, 5, 10, 10]}, 1), ({"regions": {"l": [0, 0, 30, 10]}}, 1)],
)
def test_a_region_of_another_size_is_told(
    tmp_path: Path, camera: dict[str, Any], warned: int, caplog: pytest.LogCaptureFixture
) -> None:
    cameras = {"top": {"kind": "folder", "path": tmp_path, **camera}}
    settings = InspectionSettings.model_validate({"bundle": tmp_path, "station": "s", "cameras": cameras})

    def model(recipe: str | None, **changed: Any) -> ModelInUse:
        manifest = invented_manifest(recipe).model_copy(update=changed)
        backend = SimulatedBackend(manifest.thresholds, 1, seed=0)
        origin = Origin("s", "b", backend.name, manifest, recipe=recipe)
        return ModelInUse(backend, origin, None, settings.asked, SiteThresholds(settings.threshold_factors))

    warn_of_sizes(settings, Models(model(None), {"blue": model("blue", roi=(1, 2, 20, 10))}))
    assert [record.message.count("the model simulated blue was trained on 20 x 10") for record in caplog.records] == (
        [1] * warned
    )
