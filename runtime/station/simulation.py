"""A simulation: an inspection whose cameras and verdicts are invented, so that the MES side can be built first.

All behind the verdict (events, outbox, topics, counters) is the real thing; every event says `simulated: true`.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from core.thresholds import Thresholds
from core.timestamps import rfc3339
from runtime.bundles.manifest import MODEL, Manifest
from runtime.bundles.site_thresholds import SiteThresholds
from runtime.cameras.settings import FolderSettings
from runtime.events.origin import Origin
from runtime.inference.model_in_use import ModelInUse
from runtime.settings import InspectionSettings
from runtime.station.assembly import connect
from runtime.station.inspection import Inspection
from runtime.station.simulated_line import GRID, SIZE, SimulatedBackend, SimulatedCamera


@contextmanager
def open_simulation(settings: InspectionSettings, rate_per_s: float, parts: int | None) -> Iterator[Inspection]:
    """Open a simulation of the station that `settings` describe; its bundle and cameras need not be there.

    `rate_per_s` parts a second and `parts` in all (None: until stopped) for each camera. Raises PwaeError where the
    outbox or the broker's settings are at fault.
    """
    manifest = invented_manifest()
    idle = FolderSettings(kind="folder", path=Path(), max_fps=rate_per_s)
    evidence = settings.evidence
    if evidence is not None:  # what was never made must not stand among what was, nor count in its shift
        evidence = evidence.model_copy(update={"folder": evidence.folder / "simulated"})
    settings = settings.model_copy(update={"cameras": dict.fromkeys(settings.streams, idle), "evidence": evidence})
    seed = np.random.SeedSequence().generate_state(len(settings.cameras) + 1).tolist()
    cameras = {name: SimulatedCamera(parts, seed.pop()) for name in settings.cameras}
    backend = SimulatedBackend(manifest.thresholds, settings.batching.max_batch, seed.pop())
    origin = Origin(settings.station, str(uuid.uuid4()), backend.name, manifest, simulated=True)
    model = ModelInUse(backend, origin, None, settings.asked, SiteThresholds(settings.threshold_factors))
    with connect(settings, cameras, model) as inspection:
        yield inspection


def invented_manifest() -> Manifest:
    """Of no bundle: what events tell of the model that would have judged."""
    thresholds = Thresholds(
        values=(0.31, 0.39, 0.35, 0.38, 0.36, 0.28, 0.35, 0.41, 0.36, 0.4),
        false_reject_rate=0.01,
        false_reject_expected=0.01,
        false_reject_upper=0.02,
        parts=400,
    )
    return Manifest(
        name="simulated",
        created=rfc3339(time.time()),
        height=SIZE,
        width=SIZE,
        grid=GRID,
        precision="fp32",
        score_unit="1 - cosine of features, 1 is usual of a good part",
        thresholds=thresholds,
        provenance={},
        files={MODEL: "0" * 64},
    )
