"""Recalibration: what is refused, what is told, and what is put in force."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from core.datasets.remarks import Truth
from core.errors import ConfigError
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.site_thresholds import SiteThresholds, site_file
from runtime.commands.command import Command
from runtime.commands.recalibration import Recalibrations
from runtime.commands.replies import Replies
from runtime.delivery.publisher import Publisher
from runtime.events.event import JudgedPart, Timing, event_of
from runtime.events.origin import Origin
from runtime.events.topics import Topics
from runtime.history.entry import Entry
from runtime.history.file import HistoryFile, add
from runtime.history.marks import add_mark
from runtime.inference.model_in_use import ModelInUse
from runtime.inference.settings import BackendSettings
from runtime.mqtt.message import Message, Outgoing
from runtime.parts.moment import Moment
from runtime.parts.part import Part
from runtime.parts.verdict import Reason, judge
from runtime.station.simulating.simulated_backend import SimulatedBackend
from tests.runtime.pictures import bad_picture, expected_errors, good_picture
from tests.runtime.waiting import wait_until

PARTS = 120
FACTORS = {"top": 1.5, "side": 1.0}


class Bench:
    """Recalibrations of a bundle of its own, whose replies are kept."""

    def __init__(self, bundle: Bundle) -> None:
        self.answers: list[dict[str, Any]] = []
        self.bundle = bundle
        self.site = SiteThresholds(FACTORS)
        backend = SimulatedBackend(bundle.manifest.thresholds, 1, seed=0)
        origin = Origin("s", "b", backend.name, bundle.manifest)
        self.model = ModelInUse(backend, origin, bundle, (None, BackendSettings(), 1), self.site)
        self.history = HistoryFile(bundle.path.parent / "evidence")
        self.under_test = Recalibrations(Replies(cast(Publisher, self), Topics("p")), self.history.path.parent)
        self._seq = 0

    def send(self, message: Outgoing) -> None:
        """As a Publisher."""
        self.answers.append(json.loads(message.payload))

    def ask(self, camera: str = "top", **keys: Any) -> None:
        asked = {"request_id": "1", "by": "Ada", **keys}
        message = Message("p/cmd/recalibrate", json.dumps(asked).encode(), False)
        self.under_test.begin(camera, Command.model_validate(asked), message, self.model)

    def give(self, picture: Callable[[int], np.ndarray], count: int, camera: str = "top", *faults: Reason) -> None:
        for _ in range(count):
            self._seq += 1
            thresholds = self.model.thresholds[camera]
            judgement = judge(expected_errors(picture(self._seq)).astype(np.float32), thresholds, faults)
            part = Part(camera, Moment(0.0, 0.0), None, None, faults)
            self.under_test.watch(
                JudgedPart(part, self.model.origin, judgement, self._seq, thresholds, Timing(0, 0, 0), None)
            )

    def mark(self, picture: Callable[[int], np.ndarray], count: int, was: Truth = Truth.GOOD, **changed: Any) -> None:
        """Mark parts that were judged earlier."""
        manifest, camera = self.bundle.manifest, str(changed.pop("camera", "top"))
        origin = Origin("s", "b", "cpu", manifest)
        thresholds = self.model.thresholds[camera]
        with self.history.writing() as database, database:
            for _ in range(count):
                self._seq += 1
                judgement = judge(expected_errors(picture(self._seq)).astype(np.float32), thresholds, ())
                part = Part(camera, Moment(0.0, 0.0), None, None, ())
                body = event_of(JudgedPart(part, origin, judgement, self._seq, thresholds, Timing(0, 0, 0), None))
                event = json.loads(body)
                event["model"] |= changed
                entry = Entry(event["id"], 0.0, camera, judgement.verdict, judgement.margin, None, None, None, None)
                add(database, [(entry, json.dumps(event).encode())])
                database.commit()
                add_mark(self.history, event["id"], was, "Ada", "")

    def answer(self) -> dict[str, Any]:
        def is_told() -> bool:
            self.under_test.look()
            return bool(self.answers)

        wait_until(is_told)
        return self.answers.pop()


@pytest.fixture
def bench(bundle_path: Path, tmp_path: Path) -> Bench:
    return Bench(load_bundle(Path(shutil.copytree(bundle_path, tmp_path / "own"))))


def test_old_and_new_thresholds_are_told_and_the_new_put_in_force(bench: Bench) -> None:
    before = bench.model.thresholds["top"]
    bench.ask(parts=PARTS)
    bench.give(bad_picture, 5, "side")
    bench.give(good_picture, PARTS + 5)
    answer = bench.answer()
    detail, after = answer["detail"], bench.model.thresholds["top"]
    assert answer["ok"]
    assert (detail["parts"], detail["camera"], detail["by"], detail["not_ok_seq"]) == (PARTS, "top", "Ada", [])
    assert detail["before"] == {"thresholds_id": before.id, "values": list(before.values), "rejects": 0}
    assert detail["after"]["values"] == list(after.values)
    assert detail["thresholds_id"] == detail["after"]["thresholds_id"] == after.id != before.id
    stored = bench.site.load(bench.bundle)
    assert stored["top"].scaled(FACTORS["top"]) == after
    assert bench.model.thresholds["side"] == bench.bundle.manifest.thresholds


def test_parts_that_are_not_ok_now_are_refused_and_named(bench: Bench) -> None:
    before = bench.model.thresholds["top"]
    bench.ask(parts=PARTS)
    for _ in range(PARTS // 6):
        bench.give(good_picture, 5)
        bench.give(bad_picture, 1)
    answer = bench.answer()
    assert not answer["ok"]
    assert "20 of 120 parts are NotOK now" in answer["error"]
    assert answer["detail"]["not_ok_seq"] == list(range(6, 121, 6))
    assert answer["detail"]["before"]["rejects"] == 20
    assert bench.model.thresholds["top"] == before
    assert not site_file(bench.bundle.path).exists()


def test_who_forces_it_declares_them_good(bench: Bench) -> None:
    bench.ask(parts=PARTS, force=True)
    bench.give(good_picture, PARTS - 1)
    bench.give(bad_picture, 1)
    answer = bench.answer()
    assert (answer["ok"], answer["detail"]["before"]["rejects"]) == (True, 1)
    assert bench.model.thresholds["top"].id == answer["detail"]["thresholds_id"]


def test_parts_so_unlike_the_trainings_that_nothing_would_be_rejected_are_refused_though_forced(bench: Bench) -> None:
    bench.ask(parts=PARTS, force=True)
    bench.give(lambda seed: np.full_like(good_picture(seed), 255), PARTS)
    answer = bench.answer()
    assert not answer["ok"]
    assert answer["detail"]["before"]["rejects"] == PARTS
    assert not site_file(bench.bundle.path).exists()


def test_a_dry_run_tells_and_changes_nothing(bench: Bench) -> None:
    before = bench.model.thresholds["top"]
    bench.ask(parts=PARTS, dry_run=True)
    bench.give(good_picture, PARTS - 1)
    bench.give(bad_picture, 1)
    answer = bench.answer()
    assert (answer["ok"], answer["detail"]["dry_run"], answer["detail"]["before"]["rejects"]) == (True, True, 1)
    assert answer["detail"]["thresholds_id"] != before.id
    assert bench.model.thresholds["top"] == before
    assert not site_file(bench.bundle.path).exists()


def test_parts_that_were_marked_good_count_beside_the_next_ones_and_need_no_force(bench: Bench) -> None:
    bench.mark(bad_picture, 3)
    bench.mark(bad_picture, 2, Truth.BAD)
    bench.mark(bad_picture, 2, camera="side")
    bench.mark(bad_picture, 2, sha256="0" * 64)
    bench.ask(parts=PARTS, marked=True)
    bench.give(good_picture, PARTS)
    answer = bench.answer()
    detail = answer["detail"]
    assert answer["ok"]
    assert (detail["parts"], detail["marked"], detail["before"]["rejects"]) == (PARTS + 3, 3, 3)
    assert bench.model.thresholds["top"].id == detail["thresholds_id"]


def test_marked_parts_alone_are_enough_where_they_can_promise_the_rate(bench: Bench) -> None:
    bench.mark(good_picture, 50)
    bench.ask(marked=True)
    assert "50 good parts cannot promise" in bench.answer()["error"]
    bench.mark(good_picture, 60)
    bench.ask(marked=True, dry_run=True)
    assert (detail := bench.answer()["detail"])["marked"] == detail["parts"] == 110
    bench.ask(parts=PARTS)
    bench.give(good_picture, PARTS)
    assert bench.answer()["detail"]["marked"] == 0


def test_a_reset_puts_the_bundles_in_force_and_ends_what_is_under_way(bench: Bench) -> None:
    bench.ask(parts=PARTS)
    bench.give(good_picture, PARTS)
    set_on_site = bench.answer()["detail"]["thresholds_id"]
    bench.ask(parts=PARTS)
    bench.ask(reset=True)
    assert "it was reset" in bench.answers.pop()["error"]
    detail = bench.answer()["detail"]
    assert detail["before"]["thresholds_id"] == set_on_site
    assert bench.model.thresholds["top"].id == detail["thresholds_id"]
    assert bench.model.thresholds["top"] == bench.bundle.manifest.thresholds.scaled(FACTORS["top"])
    assert bench.site.load(bench.bundle) == {}


def test_what_could_not_be_judged_does_not_count(bench: Bench) -> None:
    bench.ask(parts=PARTS)
    bench.give(good_picture, PARTS, "top", Reason.STALE)
    bench.give(good_picture, PARTS - 1)
    bench.under_test.look()
    assert not bench.under_test.is_storing
    bench.give(good_picture, 1)
    assert bench.answer()["detail"]["parts"] == PARTS


def test_the_errors_of_two_models_are_never_mixed(bench: Bench) -> None:
    bench.ask(parts=PARTS)
    bench.give(good_picture, PARTS - 1)
    bench.under_test.cancel("another model took over; ask again.")
    assert "another model took over" in bench.answers.pop()["error"]
    bench.give(good_picture, PARTS)
    bench.under_test.look()
    assert not bench.under_test.is_storing


def test_what_has_all_its_parts_at_the_end_is_stored_and_the_others_are_told(bench: Bench) -> None:
    bench.ask(parts=PARTS)
    bench.ask("side", parts=PARTS)
    bench.give(good_picture, PARTS)
    (waiting,) = bench.under_test.end()
    assert bench.answer()["ok"]
    assert waiting.topic == "p/cmd/recalibrate"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"by": None, "parts": PARTS}, "are needed"),
        ({}, "are needed"),
        ({"parts": PARTS, "reset": True}, "are needed"),
        ({"marked": True, "reset": True}, "are needed"),
        ({"parts": 10}, "at least 99"),
    ],
)
def test_what_can_promise_nothing_is_refused_at_once(bench: Bench, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        bench.ask(**keys)


def test_a_disk_that_takes_no_file_changes_nothing(bench: Bench) -> None:
    before = bench.model.thresholds["top"]
    site_file(bench.bundle.path).mkdir()
    bench.ask(parts=PARTS)
    bench.give(good_picture, PARTS)
    answer = bench.answer()
    assert not answer["ok"]
    assert bench.model.thresholds["top"] == before
