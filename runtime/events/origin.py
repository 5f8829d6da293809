"""The origin of events: which station judged, in which run and with which model."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.bundles.manifest import Manifest
from runtime.events.encoding import dumps
from runtime.parts.part import Part

NAMESPACE = uuid.UUID("5d0c2d4e-6c0b-5f0e-9a63-6f2d1f6b7a10")
"""Of the event ids (UUIDv5)."""


@dataclass(frozen=True)
class Origin:
    """Who judges: the same for all events of one run."""

    station: str
    boot_id: str
    """New at every start, so that `seq` can begin at 1 again."""
    backend: str
    manifest: Manifest
    engine_sha256: str | None = None
    """Of the engine that computes; None: `model.onnx` itself."""
    simulated: bool = False
    """Whether verdicts are invented, for an MES side that is built before the cameras hang."""
    recipe: str | None = None
    """The first one of `bundles` that this model judges; None: it is `bundle`."""

    def told(self) -> dict[str, Any]:
        """What is told of the model."""
        manifest = self.manifest
        return {
            "name": manifest.name,
            "number": manifest.number,
            "version": manifest.created,
            "sha256": manifest.model_sha256,
            "precision": manifest.precision,
            "backend": self.backend,
            "grid": manifest.grid,
            "score_unit": manifest.score_unit,
            "thresholds_id": manifest.thresholds.id,
            "false_reject_rate": manifest.thresholds.false_reject_rate,
            "trained_on": manifest.trained_on.model_dump(),
        }


def model_card(origins: Mapping[str | None, Origin]) -> bytes:
    """Tell what the `model` topic does of who judges each recipe; None: where none is told."""
    recipes = {recipe: origin.told() for recipe, origin in origins.items() if recipe is not None}
    return dumps({**origins[None].told(), "recipes": recipes})


def event_id(origin: Origin, part: Part, seq: int) -> str:
    """Deterministic: an event that is sent again has the same id, and so has one of a file that is judged again."""
    if part.mark is not None:
        name = f"{origin.station}/{part.camera}/{part.mark.identity}"
    else:
        name = f"{origin.station}/{origin.boot_id}/{part.camera}/{seq}"
    return str(uuid.uuid5(NAMESPACE, name))
