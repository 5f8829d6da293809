"""A CUDA error that stays with the process: it is tried three times, or for 30 s, and then the process has to go."""

import shutil
import threading
from pathlib import Path

import pytest

from core.errors import BackendError, RestartError
from core.stop import Stop
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.site_thresholds import SiteThresholds
from runtime.inference import recovery as module
from runtime.inference.backend import Backend
from runtime.inference.model_in_use import open_model
from runtime.inference.recovery import Recovery
from runtime.inference.settings import BackendSettings
from runtime.settings import InspectionSettings
from runtime.station.assembly import open_inspection
from tests.runtime.cuda_stand_in import StandIn, add_engine, engine
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.waiting import wait_until

BATCH = 4
FAULT = "an illegal memory access was encountered"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.threads.backoff.backoff_s", lambda *_: 0.02)


@pytest.fixture
def bundle(bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setattr("runtime.inference.cuda.engine_fit.version", lambda package: "2026.1")
    copy = load_bundle(Path(shutil.copytree(bundle_path, tmp_path / "copy")))
    add_engine(copy, engine(copy))
    return load_bundle(copy.path)


class Closed:
    def close(self) -> None: ...


def never() -> Backend:
    raise BackendError(FAULT)


def test_a_sticky_error_is_hopeless_after_three_reopenings_and_any_other_is_never() -> None:
    tried = threading.Semaphore(0)

    def fail() -> Backend:
        tried.release()
        return never()

    for is_sticky in (True, False):
        recovery = Recovery(fail)
        recovery.begin(Closed(), FAULT, is_sticky)  # type: ignore[arg-type]
        assert not recovery.is_hopeless
        for _ in range(4):  # when the fourth begins, three have failed
            assert tried.acquire(timeout=60)
        assert recovery.is_hopeless == is_sticky
        recovery.cancel()
        assert not recovery.is_hopeless


def test_one_whose_reopening_hangs_is_hopeless_after_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOPELESS_AFTER_S", 0.05)
    go_on = threading.Event()

    def hang() -> Backend:
        go_on.wait(60)
        return never()

    recovery = Recovery(hang)
    recovery.begin(Closed(), FAULT, is_sticky=True)  # type: ignore[arg-type]
    wait_until(lambda: recovery.is_hopeless)
    recovery.cancel()
    go_on.set()


def test_what_auto_chose_is_opened_again_and_nothing_slower(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = StandIn(bundle.model).install(monkeypatch)
    model = open_model("test-1", bundle.path, (None, BackendSettings(), BATCH), SiteThresholds({}))
    assert model.backend.kind == "tensorrt"
    gpu.driver.refusal = 100  # no device
    with pytest.raises(BackendError, match="no TensorRT engine can run here: .* refuses .CUDA error 100"):
        model.reopen()
    gpu.driver.refusal = 0
    again = model.reopen()
    assert again.kind == "tensorrt"
    again.close()
    model.close()
    assert gpu.held == []


@pytest.mark.parametrize("kind", ["watch", "folder"])
def test_an_inspection_leaves_so_that_it_is_started_again_and_keeps_what_was_judged(
    kind: str, bundle: Bundle, tmp_path: Path, mes: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = StandIn(bundle.model).install(monkeypatch)
    gpu.fails_at, gpu.stays = {3}, True
    settings = InspectionSettings.model_validate(
        {
            "bundle": bundle.path,
            "station": "test-1",
            "cameras": {"top": {"kind": kind, "path": write_pictures(tmp_path / "pictures", good=40)}},
            "batching": {"max_batch": BATCH, "max_wait_ms": 10_000},
            "backend": {"kind": "tensorrt"},
            "broker": {"host": "127.0.0.1", "port": mes.port},
            "outbox": {"path": tmp_path / "box.sqlite"},
        }
    )
    with open_inspection(settings) as inspection, pytest.raises(RestartError, match=f"{FAULT}.*start it again"):
        inspection.run(Stop())
    mes.wait_for(lambda: [status["state"] for status in mes.events("/status")][-1:] == ["offline"])
    assert FAULT in mes.events("/status")[-1]["reason"]
    assert gpu.held == []
    assert RestartError.exit_code == 10
