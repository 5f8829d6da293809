"""Events: the contract with the MES."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.timestamps import rfc3339
from runtime.bundles.bundle import load_bundle
from runtime.events.encoding import dumps, stamp
from runtime.events.event import JudgedPart, Timing, event_of
from runtime.events.origin import Origin, event_id
from runtime.parts.frame import FileMark
from runtime.parts.moment import Moment
from runtime.parts.part import Part
from runtime.parts.verdict import Judgement, Reason, judge


@pytest.fixture(scope="module")
def origin(bundle_path: Path) -> Origin:
    return Origin("press-3", "boot", "onnxruntime/cpu", load_bundle(bundle_path).manifest)


def make(origin: Origin, judgement: Judgement, seq: int = 7) -> dict[str, Any]:
    part = Part("top", Moment(1_795_000_000.0, 5.0), (640, 480), "a/b.png", judgement.reasons)
    thresholds = origin.manifest.thresholds
    body = event_of(JudgedPart(part, origin, judgement, seq, thresholds, Timing(1, 2.0, 3.0), None))
    event: dict[str, Any] = json.loads(stamp(body, 1_795_000_001.5, replayed=True))
    return event


def ok(origin: Origin) -> Judgement:
    return judge(np.full(10, 1e-9, np.float32), origin.manifest.thresholds)


def test_an_event_tells_all_that_the_contract_names(origin: Origin) -> None:
    event = make(origin, ok(origin))
    assert set(event) == {
        *("schema", "type", "id", "source", "time", "capture_time", "seq", "boot_id", "station", "camera"),
        *(
            "part_id",
            "job_id",
            "recipe",
            "batch",
            "operator",
            "trigger",
            "simulated",
            "replayed",
            "verdict",
            "score",
            "tiles",
        ),
        *("worst_tile", "model", "thresholds_id", "frame", "chunks", "timing_ms", "actuator", "evidence"),
    }
    assert event["time"] == "2026-11-18T11:06:41.500Z"
    assert event["capture_time"] == "2026-11-18T11:06:40.000Z"
    assert event["replayed"] is True
    assert event["verdict"] == {"code": 1, "name": "OK", "reason": []}
    assert event["frame"] == {"width": 640, "height": 480, "channels": 3, "source": "a/b.png"}
    assert event["model"]["sha256"] == origin.manifest.model_sha256
    assert event["thresholds_id"] == origin.manifest.thresholds.id
    assert [(tile["row"], tile["col"]) for tile in event["tiles"]] == [(r, c) for r in range(3) for c in range(3)]


def test_a_float_is_never_written_as_an_integer(origin: Origin) -> None:
    event = make(origin, ok(origin))
    numbers = [event["score"][key] for key in ("value", "threshold", "margin")]
    numbers += [tile[key] for tile in event["tiles"] for key in ("value", "threshold")]
    numbers += list(event["timing_ms"].values())
    assert {type(number) for number in numbers} == {float}


def test_worst_tile_is_the_one_nearest_to_its_threshold(origin: Origin) -> None:
    values = np.full(10, 1e-9, np.float32)
    values[1 + 5] = 1e-6
    assert make(origin, judge(values, origin.manifest.thresholds))["worst_tile"] == {"row": 1, "col": 2}


def test_a_part_without_pixels_has_no_score(origin: Origin) -> None:
    judgement = judge(np.zeros(10, np.float32), origin.manifest.thresholds, [Reason.UNREADABLE])
    event = make(origin, judgement)
    assert event["verdict"] == {"code": 3, "name": "NotDecidable", "reason": ["unreadable"]}
    assert (event["score"], event["tiles"], event["worst_tile"]) == (None, [], None)


def test_what_a_camera_says_that_is_no_number_is_left_out(origin: Origin) -> None:
    chunks = {"ChunkTemperature": float("nan"), "ChunkGain": float("inf"), "ChunkExposureTime": 5000.0, "ChunkLine": 3}
    part, thresholds = Part("top", Moment(0.0, 0.0), None, None, (), chunks=chunks), origin.manifest.thresholds
    body = event_of(JudgedPart(part, origin, ok(origin), 1, thresholds, Timing(1, 2.0, 3.0), None))
    assert json.loads(body)["chunks"] == {"ChunkExposureTime": 5000.0, "ChunkLine": 3}


def test_an_event_stays_within_two_kilobytes(origin: Origin) -> None:
    values = np.full(10, 1.2345678e-7, np.float32)
    judgement = judge(values, origin.manifest.thresholds)
    assert len(dumps(make(origin, judgement, seq=10**9))) < 2000


@given(st.text(min_size=1), st.integers(1, 2**40), st.integers(1, 2**40))
def test_ids_repeat_for_the_same_part_and_differ_for_others(origin: Origin, camera: str, one: int, two: int) -> None:
    part = Part(camera, Moment(0.0, 0.0), None, None, ())
    assert event_id(origin, part, one) == event_id(origin, part, one)
    assert (event_id(origin, part, one) == event_id(origin, part, two)) == (one == two)


@given(st.text(min_size=1), st.text(min_size=1), st.integers(1, 2**40), st.integers(1, 2**40))
def test_a_file_has_one_id_in_every_run(origin: Origin, one: str, two: str, seq: int, other_seq: int) -> None:
    def of(identity: str, boot: str, number: int, camera: str = "top") -> str:
        return event_id(
            replace(origin, boot_id=boot),
            Part(camera, Moment(0.0, 0.0), None, None, (), mark=FileMark(identity)),
            number,
        )

    assert of(one, "boot", seq) == of(one, "another boot", other_seq)
    assert (of(one, "boot", seq) == of(two, "boot", seq)) == (one == two)
    assert of(one, "boot", seq) != of(one, "boot", seq, "side")


@given(st.floats(0, 4e9))
def test_times_are_utc_with_milliseconds(unix_s: float) -> None:
    assert rfc3339(unix_s).endswith("Z")
    assert len(rfc3339(unix_s)) == len("2026-11-23T22:05:07.120Z")
