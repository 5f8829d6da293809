"""The origin of events: which station judged, in which run and with which model."""

import uuid
from dataclasses import dataclass

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

    def card(self) -> bytes:
        """What the `model` topic tells."""
        manifest = self.manifest
        return dumps(
            {
                "name": manifest.name,
                "version": manifest.created,
                "sha256": manifest.model_sha256,
                "precision": manifest.precision,
                "backend": self.backend,
                "grid": manifest.grid,
                "score_unit": manifest.score_unit,
                "thresholds_id": manifest.thresholds.id,
                "false_reject_rate": manifest.thresholds.false_reject_rate,
            }
        )


def event_id(origin: Origin, part: Part, seq: int) -> str:
    """Deterministic: an event that is sent again has the same id, and so has one of a file that is judged again."""
    if part.mark is not None:
        name = f"{origin.station}/{part.camera}/{part.mark.identity}"
    else:
        name = f"{origin.station}/{origin.boot_id}/{part.camera}/{seq}"
    return str(uuid.uuid5(NAMESPACE, name))
