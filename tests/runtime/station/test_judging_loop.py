"""The judging loop: a batch is stored while the next one is computed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.inference.backend import Pending
from runtime.parts.part import Part
from runtime.settings import InspectionSettings
from runtime.station.inspection import Inspection
from runtime.station.simulating.simulated_backend import _Drawn
from runtime.station.simulating.simulation import open_simulation
from runtime.station.summary import Stop
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
        stand, maps = inspection.loop.verdicts.stand, _Drawn.error_maps

        def stands(part: Part, *others: Any) -> Any:
            told.append(part)
            return stand(part, *others)

        def error_maps(drawn: _Drawn) -> NDArray[np.float32]:
            asked.append(len(told))
            return maps(drawn)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inspection.loop.verdicts, "stand", stands)
            patch.setattr(_Drawn, "error_maps", error_maps)
            inspection.run(Stop())
    assert set(asked) == {BATCH, 2 * BATCH, 3 * BATCH}


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
