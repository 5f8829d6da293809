"""A simulation: an inspection whose cameras and verdicts are invented, so that the MES side can be built first.

All behind the verdict (events, outbox, topics, counters) is the real thing; every event says `simulated: true`.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from runtime.bundles.site_thresholds import SiteThresholds
from runtime.cameras.settings import CameraSettings, ExposureSettings, FolderSettings, LiveCameraSettings
from runtime.events.origin import Origin
from runtime.inference.model_in_use import ModelInUse
from runtime.inference.models import Models
from runtime.outbox.file import held
from runtime.settings import InspectionSettings
from runtime.station.assembly import connect
from runtime.station.inspection import Inspection
from runtime.station.simulating.scenario import Play, Scenario, troubles_of
from runtime.station.simulating.simulated_backend import SimulatedBackend, invented_manifest
from runtime.station.simulating.simulated_camera import HEIGHT, WIDTH, SimulatedCamera, SimulatedLiveCamera


@contextmanager
def open_simulation(
    settings: InspectionSettings, rate_per_s: float, parts: int | None, scenario: Scenario | None = None
) -> Iterator[Inspection]:
    """Open a simulation of the station that `settings` describe; its bundle and cameras need not be there.

    `rate_per_s` parts a second and `parts` in all (None: until stopped) for each camera; of one that is triggered the
    MES has to tell. `scenario` is what goes wrong meanwhile. Raises PwaeError where nothing would, or the outbox or the
    broker's settings are at fault.
    """
    has_live_cameras = any(isinstance(camera, LiveCameraSettings) for camera in settings.cameras.values())
    play = Play(troubles_of(scenario, has_live_cameras), rate_per_s, time.monotonic, time.monotonic())
    own_outbox = settings.outbox.path
    settings = settings.model_copy(update=_changed(settings, play))
    seed = np.random.SeedSequence().generate_state(len(settings.cameras) + 1 + len(settings.bundles)).tolist()
    cameras: dict[str, SimulatedCamera | SimulatedLiveCamera] = {}
    for name, camera in settings.cameras.items():
        if isinstance(camera, LiveCameraSettings):
            cameras[name] = SimulatedLiveCamera(name, camera, parts, seed.pop(), play)
        else:
            cameras[name] = SimulatedCamera(parts, seed.pop(), play)
    run = str(uuid.uuid4())

    def invent(recipe: str | None) -> ModelInUse:
        manifest = invented_manifest(recipe)
        backend = SimulatedBackend(manifest.thresholds, settings.batching.max_batch, seed.pop())
        origin = Origin(settings.station, run, backend.name, manifest, simulated=True, recipe=recipe)
        return ModelInUse(backend, origin, None, settings.asked, SiteThresholds(settings.threshold_factors))

    models = Models(invent(None), {recipe: invent(recipe) for recipe in settings.bundles})
    with ExitStack() as stack:
        # It has an outbox of its own, and the station's client id: both at once would throw each other out.
        stack.enter_context(held(own_outbox))
        inspection = stack.enter_context(connect(settings, cameras, models))
        cable = inspection.publisher.connector.cable
        cable.is_cut, cable.longest_wait_s = play.is_cut, play.longest_wait_s
        yield inspection


def _changed(settings: InspectionSettings, play: Play) -> dict[str, Any]:
    """What is otherwise in a simulation: frames of one size, and nothing of it among what was judged."""
    changed: dict[str, Any] = {}
    if settings.evidence is not None:  # what was never made must not stand among what was, nor count in its shift
        folder = settings.evidence.folder / "simulated"
        changed["evidence"] = settings.evidence.model_copy(update={"folder": folder})
    # Nor be given up in a play, count in its jobs, or have its triggers taken for repeats.
    bounds = {"max_events": play.events_kept * len(settings.streams)} if play.events_kept else {}
    path = settings.outbox.path.with_suffix(".simulated.sqlite")
    changed["outbox"] = settings.outbox.model_copy(update={"path": path, **bounds})
    changed["cameras"] = {name: _simulated(camera, play) for name, camera in settings.cameras.items()}
    return changed


def _simulated(camera: CameraSettings, play: Play) -> CameraSettings:
    whole = {"roi": None, "regions": dict.fromkeys(camera.regions, (0, 0, WIDTH, HEIGHT)), "frame_size": None}
    if not isinstance(camera, LiveCameraSettings):
        told = {"threshold_factor": camera.threshold_factor, "verdict": camera.verdict}
        return FolderSettings(kind="folder", path=Path()).model_copy(update={**whole, **told})
    stale_after_s = max(camera.stale_after_s, 3 / play.rate_per_s)
    live = {"judge_every": 1, "max_fps": None, "stale_after_s": stale_after_s, "exposure": ExposureSettings()}
    return camera.model_copy(update={**whole, **live})
