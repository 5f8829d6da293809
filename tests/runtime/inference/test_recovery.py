"""When the engine fails: what was under way is not decidable, nothing is lost, and it is opened again."""

import json
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import ArtifactError, BackendError
from core.stop import Stop
from runtime.batching.fitting import fit_on_cpu
from runtime.bundles.bundle import Bundle, load_bundle, save_manifest
from runtime.inference.backend import BackendFault, Pending
from runtime.inference.detector import reopen
from runtime.inference.onnx_backend import OnnxBackend
from runtime.inference.recovery import Recovery
from runtime.inference.settings import BackendSettings
from runtime.settings import InspectionSettings
from runtime.station.assembly import open_inspection
from tests.runtime.broker import Mosquitto
from tests.runtime.contract import check
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.waiting import wait_until

BATCH = 4
FAULT = "an illegal memory access was encountered"


class Flaky:
    """A real backend, two batches deep, that fails with the batches it is told to."""

    kind, depth = "onnxruntime-cpu", 2
    engine_sha256, gpu_memory = None, ""
    fit = staticmethod(fit_on_cpu)

    def __init__(self, bundle: Bundle, max_batch: int, fails_at: int | None) -> None:
        self._backend = OnnxBackend(bundle, max_batch, threads=1)
        self.name, self.max_batch = "flaky", max_batch
        self._fails_at = fails_at
        self._submitted = 0
        self._own: set[int] = set()
        self.is_broken = self.is_closed = False

    def new_batch(self) -> NDArray[np.uint8]:
        buffer = self._backend.new_batch()
        self._own.add(buffer.ctypes.data)
        return buffer

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        assert not self.is_broken, "a broken backend was given a batch"
        assert frames_bgr_u8.ctypes.data in self._own, "a buffer of another backend"
        self._submitted += 1
        fails, flaky, pending = self._submitted == self._fails_at, self, self._backend.submit(frames_bgr_u8)

        class Maybe:
            def errors(self) -> NDArray[np.float32]:
                if fails:
                    flaky.is_broken = True
                    raise BackendFault(FAULT)
                return pending.errors()

            def error_maps(self) -> NDArray[np.float32]:
                return pending.error_maps()

        return Maybe()

    def close(self) -> None:
        self.is_closed = True
        self._backend.close()


class Openings:
    """In place of `open_backend`: what comes of each opening, in turn."""

    def __init__(self, *outcomes: int | str | None) -> None:
        self._outcomes = list(outcomes)
        self.opened: list[Flaky] = []

    def __call__(self, settings: Any, bundle: Bundle, max_batch: int) -> Flaky:
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, str) and outcome in str(bundle.path):
            outcome = None
        if isinstance(outcome, str):
            raise BackendError("the GPU is lost.")
        self.opened.append(Flaky(bundle, max_batch, outcome))
        return self.opened[-1]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.threads.backoff.backoff_s", lambda *_: 0.02)


def settings(tmp_path: Path, bundle: Path, port: int, **changed: Any) -> InspectionSettings:
    content = {
        "bundle": bundle,
        "station": "test-1",
        "cameras": {"top": {"kind": "folder", "path": write_pictures(tmp_path / "pictures", good=40, bad=8)}},
        "batching": {"max_batch": BATCH, "max_wait_ms": 10_000},
        "broker": {"host": "127.0.0.1", "port": port},
        "outbox": {"path": tmp_path / "box.sqlite"},
        "evidence": {"folder": tmp_path / "evidence", "min_free_bytes": 0},
    }
    return InspectionSettings.model_validate({**content, **changed})


def test_what_was_under_way_is_not_decidable_and_the_rest_is_judged_by_the_engine_opened_again(
    tmp_path: Path, bundle_path: Path, mes: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the fifth of a second within which a retained topic tells only its newest value.
    monkeypatch.setattr("runtime.threads.backoff.backoff_s", lambda *_: 0.2)
    openings = Openings(3, "lost", "lost", None)
    monkeypatch.setattr("runtime.inference.detector.open_backend", openings)
    with open_inspection(settings(tmp_path, bundle_path, mes.port)) as inspection:
        summary = inspection.run(Stop())
    assert (summary.judged, summary.acknowledged) == (48, 48)
    mes.wait_for(lambda: len(mes.events()) >= 48)
    events = mes.events()
    assert [event["seq"] for event in events] == list(range(1, 49))
    undecided = [event for event in events if event["verdict"]["reason"] == ["engine_fault"]]
    # The third batch failed, and the fourth, where it was under way beside it.
    assert [event["seq"] for event in undecided] in (list(range(9, 13)), list(range(9, 17)))
    assert all(event["verdict"]["name"] == "NotDecidable" and event["score"] is None for event in undecided)
    assert all((tmp_path / "evidence" / event["evidence"]["ref"]).is_file() for event in undecided)
    told = Counter(event["verdict"]["name"] for event in events)
    assert told == {"OK": 40 - len(undecided), "NotOK": 8, "NotDecidable": len(undecided)}
    assert [backend.is_closed for backend in openings.opened] == [True, True]
    reasons = [status["reason"] for status in mes.events("/status")]
    assert any(FAULT in reason or "the GPU is lost" in reason for reason in reasons)
    assert {check(message) for message in mes.messages} >= {"status", "result"}


def test_an_engine_that_fails_again_and_again_costs_the_batches_under_way_and_nothing_else(
    tmp_path: Path, bundle_path: Path, mes: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    openings = Openings(1, 2, 1, 3, None)
    monkeypatch.setattr("runtime.inference.detector.open_backend", openings)
    with open_inspection(settings(tmp_path, bundle_path, mes.port)) as inspection:
        summary = inspection.run(Stop())
        assert inspection.models.recovery.problem == ""
    assert (summary.judged, summary.acknowledged, summary.discarded) == (48, 48, 0)
    assert 4 * BATCH <= summary.verdicts["NotDecidable"] <= 8 * BATCH
    assert all(backend.is_closed for backend in openings.opened)
    assert len(openings.opened) == 5


def test_one_that_cannot_be_opened_ends_a_finite_run_with_the_events_kept(
    tmp_path: Path, bundle_path: Path, mes: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.inference.detector.open_backend", Openings(2, "lost"))
    monkeypatch.setattr("runtime.station.deadlines.ENGINE_PATIENCE_S", 0.3)
    asked = settings(tmp_path, bundle_path, mes.port)
    with open_inspection(asked) as inspection, pytest.raises(BackendError, match="the GPU is lost"):
        inspection.run(Stop())
    mes.wait_for(lambda: [status["state"] for status in mes.events("/status")][-1:] == ["offline"])
    assert "the GPU is lost" in mes.events("/status")[-1]["reason"]


def test_it_is_stopped_while_the_engine_is_away_and_another_bundle_may_take_over(
    tmp_path: Path, bundle_path: Path, mes: Subscriber, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = (Path(shutil.copytree(bundle_path, tmp_path / name)) for name in ("first", "other"))
    monkeypatch.setattr("runtime.inference.detector.open_backend", Openings(2, "other"))
    watched = {"top": {"kind": "watch", "path": write_pictures(tmp_path / "watched", good=20)}}
    asked = settings(tmp_path, first, mes.port, cameras=watched, commands=["reload"])
    stop, command = Stop(), "pwae/site/area/line/test-1/cmd/reload"
    with open_inspection(asked) as inspection:

        def operate() -> None:
            try:
                mes.wait_for(lambda: any("the GPU is lost" in status["reason"] for status in mes.events("/status")))
                mes.send(command, json.dumps({"request_id": "1", "bundle": other.name}).encode())
                mes.wait_for(lambda: len(mes.events()) >= 20)
                wait_until(lambda: inspection.models.recovery.problem == "")
                inspection.models.recovery.begin(inspection.models.default.backend, "a test")
            finally:
                stop.reason = "a test"

        operator = threading.Thread(target=operate)
        operator.start()
        assert inspection.run(stop).judged == 20
        operator.join()
    assert len({event["seq"] for event in mes.events()}) == 20


def test_a_bundle_that_was_replaced_on_disk_is_not_taken_for_the_one_in_use(tmp_path: Path, bundle_path: Path) -> None:
    copy = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    in_use, asked = load_bundle(copy), (None, BackendSettings(), BATCH)
    reopen(in_use, *asked).close()
    save_manifest(copy, in_use.manifest.model_copy(update={"name": "another"}))
    with pytest.raises(ArtifactError, match="there is another bundle now; send `reload`, or restart"):
        reopen(in_use, *asked)


def test_a_recovery_that_is_given_up_closes_what_it_opens_and_says_that_all_is_well() -> None:
    opening, go_on = threading.Event(), threading.Event()
    closed = threading.Event()

    class Slow:
        def close(self) -> None:
            closed.set()

    def open_slowly() -> Any:
        opening.set()
        go_on.wait(5)
        return Slow()

    class Stuck:
        def close(self) -> None:
            raise RuntimeError("cuMemFree failed")

    recovery = Recovery(open_slowly)
    recovery.begin(Stuck(), FAULT)  # type: ignore[arg-type]
    assert recovery.away_s > 0
    assert recovery.problem == f"the engine failed: {FAULT}"
    assert opening.wait(5)
    recovery.cancel()
    go_on.set()
    assert closed.wait(5)
    assert (recovery.opened, recovery.problem, recovery.away_s) == (None, "", 0.0)
