"""Jobs: in every event from the reply on, and counted, over restarts of the station; of two jobs nothing is mixed."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.parts.frame import Trigger
from runtime.parts.job import Job
from runtime.parts.moment import Moment
from tests.runtime.broker import Mosquitto
from tests.runtime.command import at, folder, run_command, write_config
from tests.runtime.contract import PREFIX, check
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures

NAMES = st.none() | st.sampled_from(["a", "b"])


@pytest.fixture
def start(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> Callable[[], "subprocess.Popen[str]"]:
    """Start an inspection of half a minute, of two cameras."""
    pictures = write_pictures(tmp_path / "pictures", good=300, bad=300)
    cameras = {name: folder(pictures, max_fps=20) for name in ("top", "side")}
    config = write_config(tmp_path, bundle_path, cameras, broker=at(mosquitto.port), commands=["job"])

    def run() -> "subprocess.Popen[str]":
        before = runs(mes)
        process = run_command(config)
        mes.wait_for(lambda: runs(mes) > before)  # what the last run left in the outbox comes first
        return process

    return run


def runs(mes: Subscriber) -> set[str]:
    return {event["boot_id"] for event in mes.events()}


def tell(mes: Subscriber, **keys: Any) -> dict[str, Any]:
    before = len(mes.events("/cmd_reply"))
    mes.send(f"{PREFIX}/cmd/job", json.dumps({"request_id": "r", **keys}).encode())
    mes.wait_for(lambda: len(mes.events("/cmd_reply")) > before)
    return mes.events("/cmd_reply")[before]


def of(mes: Subscriber, camera: str, **wanted: Any) -> list[dict[str, Any]]:
    once = {event["id"]: event for event in mes.events()}.values()  # what a kill leaves unacknowledged comes again
    events = [event for event in once if event["camera"] == camera]
    return [event for event in events if all(event[key] == value for key, value in wanted.items())]


def test_every_event_carries_the_job_and_counts_for_it_also_after_a_kill(
    start: Callable[[], "subprocess.Popen[str]"], mes: Subscriber, mosquitto: Mosquitto
) -> None:
    process = start()
    told = {"job_id": "J-9", "recipe": "blue", "batch": "7", "operator": "Ada"}
    answer = tell(mes, **{**told, "batch": 7}, camera="top")
    assert (answer["ok"], answer["detail"]) == (True, {"cameras": ["top"], **told, "ended": {}})
    mes.wait_for(lambda: len(of(mes, "top", **told)) >= 10)
    process.kill()
    process.communicate()
    process = start()
    run = mes.events()[-1]["boot_id"]
    mes.wait_for(lambda: len(of(mes, "top", boot_id=run)) >= 10 and len(of(mes, "side", boot_id=run)) >= 1)
    assert tell(mes, **told, camera="top")["ok"]  # once more changes nothing
    assert "one of side, top" in tell(mes, job_id="J-10", camera="elsewhere")["error"]
    answer = tell(mes, job_id="J-10")
    assert answer["detail"]["cameras"] == ["side", "top"]
    mes.wait_for(lambda: len(of(mes, "top", job_id="J-10")) >= 3 and len(of(mes, "side", job_id="J-10")) >= 1)
    process.terminate()
    process.communicate()
    jobs = [event["job_id"] for event in of(mes, "top")]
    assert jobs == sorted(jobs, key=[None, "J-9", "J-10"].index)  # none before, and no event with the job before
    assert {event["job_id"] for event in of(mes, "top", boot_id=run)} == {"J-9", "J-10"}
    assert of(mes, "top", job_id="J-10", recipe=None, batch=None) == of(mes, "top", job_id="J-10")
    first, last = answer["detail"]["ended"]["top"], mes.events("top/job")[-1]
    assert first == {
        **told,
        "since": first["since"],
        "ok": len(of(mes, "top", **told)),
        "not_ok": 0,
        "not_decidable": 0,
    }
    assert first["since"] < last["since"]
    kept = json.loads(mosquitto.retained(f"{PREFIX}/camera/top/job").payload)
    assert kept == last == {**last, "job_id": "J-10", "ok": len(of(mes, "top", job_id="J-10")), "not_ok": 0}
    assert {check(message) for message in mes.messages if "/cmd/" not in message.topic} >= {"job", "reply", "result"}


@given(st.builds(Job, NAMES, NAMES, NAMES, NAMES), NAMES, NAMES)
def test_a_trigger_that_names_a_job_is_of_that_job_alone(job: Job, job_id: str | None, recipe: str | None) -> None:
    told = job.told_by(Trigger("p", job_id, recipe, None, Moment(0.0, 0.0)))
    if job_id in (None, job.job_id):
        assert told == Job(job.job_id, recipe or job.recipe, job.batch, job.operator)
    else:
        assert told == Job(job_id, recipe)
    assert job.told_by(None) == job
