"""Backends: who computes, and what goes on meanwhile."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import BackendError
from runtime.backend import OnnxBackend, Pending
from runtime.bundle import MODEL, load_bundle
from runtime.inspection import Inspection, Stop
from runtime.settings import InspectionSettings
from runtime.simulation import open_simulation
from tests.runtime.parts import SIZE, Subscriber, bad_picture, expected_errors, good_picture, wait_until

BATCH = 4


def test_a_batch_gives_the_models_errors_row_by_row(bundle_path: Path) -> None:
    backend = OnnxBackend(load_bundle(bundle_path), BATCH)
    buffer = backend.new_batch()
    frames = [good_picture(1), bad_picture(2), good_picture(3)]
    buffer[:3] = np.stack(frames)
    pending = backend.submit(buffer[:3])
    assert pending.errors() == pytest.approx(np.stack([expected_errors(frame) for frame in frames]), rel=1e-4)
    assert pending.error_maps().shape == (3, SIZE, SIZE)
    backend.close()


def test_a_graph_that_is_none_is_refused(bundle_path: Path, tmp_path: Path) -> None:
    bundle = load_bundle(Path(shutil.copytree(bundle_path, tmp_path / "copy")))
    bundle.model.write_bytes(b"no graph")
    with pytest.raises(BackendError, match=f"{MODEL}: ONNX Runtime refuses it"):
        OnnxBackend(bundle, BATCH)


def test_a_batch_is_judged_and_stored_while_the_next_is_computed(tmp_path: Path, mes: Subscriber) -> None:
    settings = InspectionSettings.model_validate(
        {
            "bundle": tmp_path,
            "station": "test-1",
            "cameras": {"top": {"kind": "folder", "path": tmp_path}},
            "batching": {"max_batch": BATCH, "max_wait_ms": 10_000},
            "broker": {"host": "127.0.0.1", "port": mes.port},
            "outbox": {"path": tmp_path / "box.sqlite"},
        }
    )
    with open_simulation(settings, rate_per_s=1000, parts=3 * BATCH) as inspection:
        inspection.backend = Waiting(inspection)
        assert inspection.run(Stop()).acknowledged == 3 * BATCH


class Waiting:
    """Is done with a batch only when all that came before is in the outbox."""

    def __init__(self, inspection: Inspection) -> None:
        self._inspection, self._backend = inspection, inspection.backend
        self._batches = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        pending, before = self._backend.submit(frames_bgr_u8), self._batches * BATCH
        self._batches += 1
        outbox = self._inspection.outbox

        class Late:
            def errors(self) -> NDArray[np.float32]:
                wait_until(lambda: outbox.newest >= before)
                return pending.errors()

            def error_maps(self) -> NDArray[np.float32]:
                return pending.error_maps()

        return Late()
