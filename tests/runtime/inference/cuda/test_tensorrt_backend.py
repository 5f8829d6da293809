"""TensorRT's backend on a stand-in for pycuda and TensorRT: one thread, order of frees, faults, refusals.

The stand-in is no GPU: what these tests show is the logic around the calls, not that CUDA does what they ask.
"""

import threading
from pathlib import Path

import numpy as np
import pytest

from core.errors import ArtifactError, BackendError
from core.files import sha256_of
from core.stop import Stop
from runtime.bundles.bundle import Bundle
from runtime.inference.backend import SPARE, BackendFault, Pending
from runtime.inference.cuda.tensorrt_backend import TensorRtBackend
from runtime.settings import InspectionSettings
from runtime.station.assembly import open_inspection
from tests.runtime.cuda_stand_in import StandIn
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import expected_errors, good_picture, write_pictures
from tests.runtime.tensorrt_stand_in import PLAN

BATCH = 4


def opened(bundle: Bundle, **changed: object) -> TensorRtBackend:
    return TensorRtBackend(bundle, bundle.manifest.engines[0].model_copy(update=changed), BATCH)


def submitted(backend: TensorRtBackend, rows: int = 2) -> Pending:
    buffer = backend.new_batch()
    buffer[:] = good_picture(1)
    return backend.submit(buffer[:rows])


def test_one_thread_of_its_own_makes_every_call(gpu: StandIn, bundle: Bundle) -> None:
    backend = opened(bundle)
    pending = submitted(backend)
    judged = threading.Thread(target=pending.errors)
    judged.start()
    judged.join()
    pending.error_maps()
    backend.close()
    assert len(gpu.threads) == 1
    assert threading.get_ident() not in gpu.threads


def test_an_engine_that_is_altered_after_it_was_checked_is_not_loaded(gpu: StandIn, bundle: Bundle) -> None:
    (bundle.path / bundle.manifest.engines[0].file).write_bytes(PLAN + b".")
    with pytest.raises(ArtifactError, match="altered after it was checked"):
        opened(bundle)
    assert (gpu.held, gpu.threads) == ([], set())


def test_all_is_freed_lanes_and_slots_before_the_engine_and_the_context_last(gpu: StandIn, bundle: Bundle) -> None:
    backend = opened(bundle)
    slots = backend.depth + SPARE
    buffers = [backend.new_batch() for _ in range(slots + 1)]  # one more than were made ready
    assert sum(name.startswith("event") for name in gpu.held) == slots + 1
    pending = backend.submit(buffers[0])
    backend.close()
    assert gpu.held == []
    lane = [*["execution"] * 3, *["memory"] * 4, "stream"]  # batches of 1, 2 and 4; three tensors and the scratch
    slot = ["memory", "event"]
    assert gpu.freed == lane * backend.depth + slot * (slots + 1) + ["stream", "engine", "runtime", "context"]
    with pytest.raises(BackendFault, match="the backend was closed"):
        pending.errors()
    buffers[0][:] = 7  # a camera that is late


def test_a_batch_is_copied_computed_and_read_back_while_the_one_before_is_waited_for(
    gpu: StandIn, bundle: Bundle
) -> None:
    backend = opened(bundle)
    gpu.calls.clear()
    first, second = submitted(backend), submitted(backend)
    first.errors()
    enqueued = ["cuMemcpyHtoDAsync", "cuGraphLaunch", "cuMemcpyDtoHAsync", "cuMemcpyDtoDAsync", "cuEventRecord"]
    assert gpu.calls == [*enqueued, *enqueued, "cuEventSynchronize"]
    second.errors()
    assert gpu.calls[-1:] == ["cuEventSynchronize"]
    first.error_maps()
    assert gpu.calls[-3:] == ["cuMemcpyDtoHAsync", "cuEventRecord", "cuEventSynchronize"]  # the map comes only now
    backend.close()


def test_a_cuda_error_is_a_fault_of_everything_from_then_on(gpu: StandIn, bundle: Bundle) -> None:
    backend = opened(bundle)
    before, under_way = submitted(backend), submitted(backend)
    assert before.errors()[0] == pytest.approx(expected_errors(good_picture(1)), rel=1e-4)
    gpu.fault, gpu.driver.broken = "an illegal memory access was encountered", 700
    for ask in (under_way.errors, before.error_maps, submitted(backend).errors, under_way.errors):
        with pytest.raises(BackendFault, match="an illegal memory access") as told:
            ask()
        assert told.value.is_sticky
    gpu.fault = None
    with pytest.raises(BackendFault, match="an illegal memory access"):
        submitted(backend).errors()
    gpu.fault = "an illegal memory access was encountered"
    backend.close()
    assert gpu.held == []


def test_where_the_gpu_is_lost_before_the_first_batch_the_buffers_are_there_and_the_batch_is_a_fault(
    gpu: StandIn, bundle: Bundle
) -> None:
    backend = opened(bundle)
    gpu.fault = "no CUDA-capable device is detected"
    buffers = [backend.new_batch() for _ in range(backend.depth + SPARE)]
    for ask in (backend.submit(buffers[0]).errors, backend.new_batch):
        with pytest.raises(BackendFault, match="no CUDA-capable device"):
            ask()
    backend.close()
    assert gpu.held == []


def test_an_engine_that_does_not_compute_is_a_fault_in_tensorrts_words(gpu: StandIn, bundle: Bundle) -> None:
    backend = opened(bundle, api="tensorrt_rtx")
    gpu.refuses = "execute_async_v3"
    with pytest.raises(BackendFault, match="it does not compute") as told:
        submitted(backend).errors()
    assert not told.value.is_sticky
    backend.close()


@pytest.mark.parametrize(
    ("api", "words"), [("tensorrt", "magic tag does not match"), ("tensorrt_rtx", "INVALID, diagnostics 32; magic tag")]
)
def test_an_engine_that_does_not_load_is_an_error_that_says_why(
    gpu: StandIn, bundle: Bundle, api: str, words: str
) -> None:
    name = bundle.manifest.engines[0].file
    (bundle.path / name).write_bytes(b"of another version")
    files = {**bundle.manifest.files, name: sha256_of(bundle.path / name)}
    with pytest.raises(BackendError, match=words):
        opened(Bundle(path=bundle.path, manifest=bundle.manifest.model_copy(update={"files": files})), api=api)
    assert gpu.held == []


def test_what_was_made_is_freed_where_the_next_thing_cannot_be(gpu: StandIn, bundle: Bundle) -> None:
    gpu.refuses = "create_execution_context"
    with pytest.raises(BackendError, match="tensorrt cannot run it here .no execution context"):
        opened(bundle)
    assert gpu.held == []
    gpu.refuses, gpu.fault = None, "out of memory"
    with pytest.raises(BackendError, match=r"out of memory.*nvidia-smi"):
        opened(bundle)
    assert gpu.held == []


def test_only_buffers_of_its_own_are_taken(gpu: StandIn, bundle: Bundle) -> None:
    backend = opened(bundle)
    buffer = backend.new_batch()
    for frames in (np.zeros_like(buffer), buffer[1:]):
        with pytest.raises(ValueError, match="starts at the first row of a buffer"):
            backend.submit(frames)
    backend.close()


def test_an_inspection_on_a_gpu_that_fails_twice_judges_every_part_that_was_not_under_way(
    gpu: StandIn, bundle: Bundle, tmp_path: Path, mes: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.inference.cuda.engine_fit.version", lambda package: "2026.1")
    monkeypatch.setattr("runtime.threads.backoff.backoff_s", lambda *_: 0.02)
    gpu.fails_at = {3, 7}
    settings = InspectionSettings.model_validate(
        {
            "bundle": bundle.path,
            "station": "test-1",
            "cameras": {"top": {"kind": "folder", "path": write_pictures(tmp_path / "pictures", good=50, bad=10)}},
            "batching": {"max_batch": BATCH, "max_wait_ms": 10_000},
            "backend": {"kind": "tensorrt"},
            "broker": {"host": "127.0.0.1", "port": mes.port},
            "outbox": {"path": tmp_path / "box.sqlite"},
        }
    )
    with open_inspection(settings) as inspection:
        assert inspection.models.default.backend.name == "tensorrt-11.4.0.106/sm89"
        summary = inspection.run(Stop())
    assert (summary.judged, summary.acknowledged) == (60, 60)
    mes.wait_for(lambda: len(mes.events()) >= 60)
    assert [event["seq"] for event in mes.events()] == list(range(1, 61))
    engine = bundle.manifest.engines[0].file
    assert {event["model"]["engine_sha256"] for event in mes.events()} == {bundle.manifest.files[engine]}
    undecided = [event for event in mes.events() if event["verdict"]["name"] == "NotDecidable"]
    assert {reason for event in undecided for reason in event["verdict"]["reason"]} == {"engine_fault"}
    assert 2 * BATCH <= len(undecided) <= 2 * TensorRtBackend.depth * BATCH
    assert summary.verdicts["NotOK"] == 10
    assert gpu.held == []
    assert gpu.freed.count("context") == 3  # it was opened three times
