"""A fault of ours in one camera ends that camera: the others go on, and it is told."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.errors import ConfigError, PwaeError
from core.stop import Stop
from runtime import cli
from runtime.bundles.site_thresholds import SiteThresholds
from runtime.cameras.camera import Camera
from runtime.events.origin import Origin
from runtime.inference.model_in_use import ModelInUse
from runtime.inference.models import Models
from runtime.parts.frame import Frame
from runtime.settings import InspectionSettings
from runtime.station import console
from runtime.station.assembly import connect
from runtime.station.inspection import Inspection
from runtime.station.simulating.simulated_backend import SimulatedBackend, invented_manifest
from runtime.station.simulating.simulated_camera import SimulatedCamera
from tests.runtime.command import at
from tests.runtime.mes import Subscriber

PARTS = 60


class Dying(Camera):
    """Dies with its second frame."""

    frames_total = 2

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        yield next(SimulatedCamera(1, 0).frames(stopping))
        raise ValueError("a fault of ours")


def settings_of(folder: Path, port: int) -> InspectionSettings:
    idle = {"kind": "folder", "path": str(folder), "max_fps": 200}
    return InspectionSettings.model_validate(
        {
            "bundle": folder / "no-bundle",
            "station": "test-1",
            "cameras": {"top": idle, "side": idle},
            "broker": at(port),
            "outbox": {"path": folder / "box.sqlite"},
        }
    )


def station(folder: Path, port: int) -> AbstractContextManager[Inspection]:
    settings = settings_of(folder, port)
    manifest = invented_manifest()
    backend = SimulatedBackend(manifest.thresholds, settings.batching.max_batch, seed=0)
    origin = Origin("test-1", "b", backend.name, manifest, simulated=True)
    model = ModelInUse(backend, origin, None, settings.asked, SiteThresholds(settings.threshold_factors))
    return connect(settings, {"top": SimulatedCamera(PARTS, 1), "side": Dying()}, Models(model))


def test_the_others_go_on_and_the_run_ends_with_its_fault(
    tmp_path: Path, mes: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    with station(tmp_path, mes.port) as inspection:
        with pytest.raises(ValueError, match="a fault of ours"):
            inspection.run(Stop())
        status = inspection.status()
    mes.wait_for(lambda: len(mes.events()) == PARTS + 1)
    assert [event["camera"] for event in mes.events()].count("top") == PARTS
    assert status.dead == ("camera side",)
    assert (status.cameras["side"].state, status.cameras["side"].reason) == ("died", "a fault of ours")
    assert any("camera side died: a fault of ours" in told["reason"] for told in mes.events("/status"))
    assert "camera side died, the others go on" in caplog.text


def test_no_fault_of_a_run_that_began_is_told_as_one_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConfigError("a test")

    monkeypatch.setattr(console, "_watch", fail)
    monkeypatch.setattr(console, "warn_of_sizes", lambda *_: None)
    with pytest.raises(PwaeError, match="ended by a fault: a test") as ended:
        cli._run(nullcontext(SimpleNamespace(settings=settings_of(tmp_path, 1), display=None, models=None)), Stop())  # type: ignore[arg-type]
    assert ended.value.exit_code == 1
