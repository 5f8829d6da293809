"""The judging loop: a batch is stored while the next one is computed."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.stop import Stop
from runtime.inference.backend import Pending
from runtime.parts.frame import Trigger
from runtime.parts.job import NO_JOB
from runtime.parts.moment import Moment
from runtime.parts.part import Part
from runtime.parts.verdict import Reason
from runtime.settings import InspectionSettings
from runtime.station.inspection import Inspection
from runtime.station.simulating.simulated_backend import Drawn
from runtime.station.simulating.simulation import open_simulation
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import wait_until

BATCH = 4


def test_a_batch_is_judged_and_stored_while_the_next_is_computed(tmp_path: Path, mes: Subscriber) -> None:
    with open_simulation(station(tmp_path, mes), rate_per_s=1000, parts=3 * BATCH) as inspection:
        inspection.models.default.backend = Waiting(inspection)
        assert inspection.run(Stop()).acknowledged == 3 * BATCH


def test_no_verdict_waits_for_what_is_shown_of_another_part_of_its_batch(tmp_path: Path, mes: Subscriber) -> None:
    evidence = {"folder": tmp_path / "evidence", "every_nth_ok": 1, "min_free_bytes": 0}
    told, asked = list[Part](), list[int]()
    with open_simulation(station(tmp_path, mes, evidence=evidence), rate_per_s=1000, parts=3 * BATCH) as inspection:
        stand, maps = inspection.loop.verdicts.stand, Drawn.error_maps

        def stands(part: Part, *others: Any) -> Any:
            told.append(part)
            return stand(part, *others)

        def error_maps(drawn: Drawn) -> NDArray[np.float32]:
            asked.append(len(told))
            return maps(drawn)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inspection.loop.verdicts, "stand", stands)
            patch.setattr(Drawn, "error_maps", error_maps)
            inspection.run(Stop())
    assert set(asked) == {BATCH, 2 * BATCH, 3 * BATCH}


@pytest.mark.parametrize(("has_frame", "is_new"), [(False, False), (True, False), (True, True)])
def test_regions_that_were_told_before_a_run_ended_are_not_told_again_when_their_trigger_comes_again(
    tmp_path: Path, mes: Subscriber, has_frame: bool, is_new: bool
) -> None:
    """A kill, or a stop, may come between the batches of two regions of one frame."""
    whole = [0, 0, 640, 480]
    camera = {"kind": "rtsp", "url": "rtsp://none.example.com/top", "trigger": {"tolerance_ms": 100}}
    cameras = {"top": {**camera, "regions": {"left": whole, "right": whole}}}
    told = list[list[str]]()
    for is_last_told in (False, True):
        trigger = Trigger("4711", None, None, None, Moment.now(), b"one message")
        left = Part("top-left", Moment.now(), None, None, (Reason.NO_FRAME,), trigger)
        right = replace(left, camera="top-right", cause=trigger.cause)
        other = replace(left, trigger=replace(trigger, cause=b"another %d" % len(told)))
        parts = [left, other, right] if is_last_told else [left]
        with open_simulation(station(tmp_path, mes, cameras=cameras), rate_per_s=1, parts=1) as inspection:
            if is_new:  # another message, alike in every byte
                inspection.publisher.outbox.forget(b"one message")
            if has_frame:
                judge_in_one_batch(inspection, parts)
            else:
                inspection.loop.miss(parts)
            told.append([event.topic.split("/")[-2] for event in inspection.publisher.outbox.read(0, 100)])
            inspection.publisher.outbox.remove(inspection.publisher.outbox.read(0, 100))
            inspection.publisher.outbound.close()
    assert told == [["top-left"], [*["top-left"] * is_new, "top-left", "top-right"]]


def judge_in_one_batch(inspection: Inspection, parts: list[Part]) -> None:
    tasks = [SimpleNamespace(job=NO_JOB) for _ in parts]
    batch = SimpleNamespace(recipe=None, written=parts, tasks=tasks)
    errors = np.ones((len(parts), 10), np.float32)
    run: Any = SimpleNamespace(batch=batch, errors=errors, fault="", submitted_s=0.0, inferred_s=0.0)
    batcher: Any = SimpleNamespace(release=lambda _batch: None)
    inspection.loop._judge(run, batcher)


def station(tmp_path: Path, mes: Subscriber, **sections: Any) -> InspectionSettings:
    return InspectionSettings.model_validate(
        {
            "bundle": tmp_path / "no-bundle",
            "station": "test-1",
            "cameras": {"top": {"kind": "folder", "path": tmp_path / "pictures"}},
            "batching": {"max_batch": BATCH, "max_wait_ms": 10_000},
            "broker": {"host": "127.0.0.1", "port": mes.port},
            "outbox": {"path": tmp_path / "box.sqlite"},
            **sections,
        }
    )


class Waiting:
    """Is done with a batch only when all that came before is in the outbox."""

    def __init__(self, inspection: Inspection) -> None:
        self._inspection, self._backend = inspection, inspection.models.default.backend
        self._batches = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        pending, before = self._backend.submit(frames_bgr_u8), self._batches * BATCH
        self._batches += 1
        outbox = self._inspection.publisher.outbox

        class Late:
            def errors(self) -> NDArray[np.float32]:
                wait_until(lambda: outbox.newest >= before)
                return pending.errors()

            def error_maps(self) -> NDArray[np.float32]:
                return pending.error_maps()

        return Late()
