"""Triggers and verdicts: who rejects hears of each part once, however fast it is judged, and of no refused one."""

import json
import time
from types import SimpleNamespace
from typing import Any, cast

from core.timestamps import rfc3339
from runtime.actuator.verdicts import Verdicts
from runtime.cameras.settings import VerdictSettings
from runtime.delivery.publisher import Publisher
from runtime.events.origin import Origin
from runtime.events.topics import Topics
from runtime.mqtt.message import Message, Outgoing
from runtime.parts.frame import Trigger
from runtime.parts.moment import Moment
from runtime.parts.part import Part
from runtime.parts.verdict import Judgement, Verdict
from runtime.station.simulating.simulated_backend import invented_manifest
from runtime.station.triggers import trigger_handler
from tests.runtime.waiting import wait_until

OK = Judgement(Verdict.OK, (), None, (), None)


class QuickCamera:
    """Its part is judged before whoever asked goes on."""

    takes_ahead = False
    is_full = False

    def __init__(self, verdicts: Verdicts) -> None:
        self.verdicts = verdicts

    def ask(self, trigger: Trigger) -> None:
        if self.is_full:
            raise ValueError("1000 part ids wait for their frames already")
        part = Part("top", trigger.target, (4, 4), None, (), trigger)
        self.verdicts.expect(part)
        self.verdicts.stand(part, OK, 1, Origin("press-3", "boot", "none", invented_manifest()))


def test_a_part_that_is_judged_at_once_is_not_told_as_late_and_one_that_is_refused_is_not_told_at_all() -> None:
    sent: list[Outgoing] = []
    publisher: Any = SimpleNamespace(acknowledge=lambda _message: None, outbox=None, send=sent.append)
    told = {name: VerdictSettings(deadline_ms=1) for name in ("top", "side")}
    verdicts = Verdicts(told, cast(Publisher, publisher), Topics("p").verdict)
    camera = QuickCamera(verdicts)
    station: Any = SimpleNamespace(
        cameras={"top": SimpleNamespace(streams=lambda name: {name: None})}, topics=Topics("p")
    )
    cameras: Any = {"top": SimpleNamespace(triggered=camera)}
    triggers = trigger_handler(cameras, station, publisher, verdicts, lambda _parts: None)
    past = rfc3339(time.time() - 60)  # due long ago
    triggers.handle([Message("p/trigger/top", json.dumps({"part_id": 1, "time": past}).encode(), False, number=1)])
    camera.is_full = True
    triggers.handle([Message("p/trigger/top", json.dumps({"part_id": 2, "time": past}).encode(), False, number=2)])
    verdicts.expect(Part("side", Moment.now(), (4, 4), None, ()))
    verdicts.start()
    wait_until(lambda: verdicts.late["side"] == 1)
    verdicts.stop()
    assert [json.loads(each.payload)["name"] for each in sent if each.topic == "p/camera/top/verdict"] == ["OK"]
    assert (verdicts.late["top"], triggers.refused) == (0, {"top": 1})
