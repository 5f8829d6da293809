"""The simulated line: it answers triggers, tells its cameras' states, and what goes wrong on a line goes wrong here."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError, OutboxError
from runtime.cameras.free_running import SETTLE_S
from runtime.cameras.live import LOOK_EVERY_S
from runtime.outbox.outbox import Outbox
from runtime.outbox.settings import OutboxSettings
from runtime.station.simulating.scenario import BURST, PHASE_PARTS, PLAYED, Play, Scenario, troubles_of
from runtime.threads.backoff import LONGEST_S
from tests.runtime.broker import Mosquitto
from tests.runtime.command import at, run_command, write_config
from tests.runtime.contract import PREFIX, check
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S, wait_until

RATE = 10
"""Parts a second: two seconds of peace, and two of trouble."""
LIVE = {"kind": "rtsp", "url": "rtsp://none.example.com/belt"}


@pytest.fixture
def play(tmp_path: Path, mosquitto: Mosquitto, mes: Subscriber) -> Iterator[Callable[..., None]]:
    started: list[subprocess.Popen[str]] = []

    def start(cameras: dict[str, Any], *options: str, station: str = "test-1") -> None:
        folder = tmp_path / station
        folder.mkdir()
        config = write_config(folder, folder / "no-bundle", cameras, broker=at(mosquitto.port), station=station)
        started.append(run_command("simulate", config, *options, folder=folder))

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        _out, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, err
    for message in mes.messages:
        if "/trigger/" not in message.topic:
            check(message, "/".join(message.topic.split("/")[:5]))


def test_it_answers_triggers_and_tells_each_camera_s_state_once(play: Callable[..., None], mes: Subscriber) -> None:
    play({"belt": {**LIVE, "trigger": {"tolerance_ms": 100}}, "free": LIVE}, "--rate", "20")
    mes.wait_for(lambda: any(status["state"] == "streaming" for status in mes.events("belt/status")))
    for number in range(5):
        mes.send(f"{PREFIX}/trigger/belt", json.dumps({"part_id": number}).encode())
    mes.send(f"{PREFIX}/trigger/belt", b"{}")
    mes.wait_for(lambda: len([event for event in mes.events() if event["camera"] == "belt"]) == 5)
    mes.wait_for(lambda: len([event for event in mes.events() if event["camera"] == "free"]) >= 40)
    mes.wait_for(lambda: len(mes.events("belt/trigger_refused")) == 1)
    belt = [event for event in mes.events() if event["camera"] == "belt"]
    assert [event["part_id"] for event in belt] == [str(number) for number in range(5)]
    assert {event["simulated"] for event in mes.events()} == {True}
    states = [status["state"] for status in mes.events("free/status")]
    assert states in (["streaming"], ["reconnecting", "streaming"]), states  # however many frames came


class Told:
    """What one station told so far."""

    def __init__(self, mes: Subscriber, station: str) -> None:
        self._mes = mes
        self._station = station

    def all(self, leaf: str) -> list[dict[str, Any]]:
        return self._mes.events(f"{self._station}/{leaf}")

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.all("camera/belt/result")

    def was_cut_off(self) -> bool:
        """Whether the will was told, and what waited came afterwards, with no number missing."""
        seqs = {event["seq"] for event in self.events}
        gone = {seq for gap in self.all("camera/belt/gap") for seq in range(gap["first_seq"], gap["last_seq"] + 1)}
        states = [(status["state"], status["reason"]) for status in self.all("status")]
        lost = states.index(("offline", "connection lost")) if ("offline", "connection lost") in states else len(states)
        is_whole = seqs | gone >= set(range(1, max(seqs, default=0) + 1))
        return "online" in [state for state, _reason in states[lost:]] and is_whole

    def went_down(self) -> bool:
        """Whether the camera was told as down, and came back."""
        told = self.all("camera/belt/status")
        down = [place for place, status in enumerate(told) if "simulated: the camera is down" in status["reason"]]
        return bool(down) and "streaming" in [status["state"] for status in told[down[0] :]]

    def gave_up(self) -> bool:
        """Whether a gap was told, and parts came behind it."""
        gaps = self.all("camera/belt/gap")
        assert all(gap["simulated"] and gap["first_seq"] <= gap["last_seq"] for gap in gaps)
        return bool(gaps) and any(event["seq"] > gaps[0]["last_seq"] for event in self.events)

    def hurried(self) -> bool:
        """Whether ten parts came in the time of five."""
        captured = [datetime.fromisoformat(event["capture_time"]) for event in self.events]
        spans = ((last - first).total_seconds() for first, last in zip(captured, captured[10:], strict=False))
        return any(span < 5 / RATE for span in spans)


SEEN: dict[Scenario, Callable[[Told], bool]] = {
    Scenario.OUTAGE: Told.was_cut_off,
    Scenario.CAMERA_DOWN: Told.went_down,
    Scenario.GAP: Told.gave_up,
    Scenario.BURST: Told.hurried,
}


def has_told(told: Told, troubles: Iterable[Scenario]) -> bool:
    """Whether the station told each of the troubles, and what came after it."""
    return all(SEEN[each](told) for each in troubles)


def test_every_scenario_is_played_to_an_mes_over_a_real_broker(play: Callable[..., None], mes: Subscriber) -> None:
    """Side by side, each by a station of its own: most of the time they wait."""
    for name in PLAYED:
        play({"belt": LIVE}, "--rate", str(RATE), "--scenario", name, station=f"test-{name}")
    for name, troubles in PLAYED.items():
        seen = partial(has_told, Told(mes, f"test-{name}"), troubles)
        wait_until(seen, 0.5, WAIT_S)
    down = Told(mes, "test-camera-down").all("camera/belt/status")
    told_of = [(each["state"], each["reason"], each["reconnects"]) for each in down]
    assert all(one != other for one, other in pairwise(told_of))  # told when it changes only


@given(st.sampled_from(sorted(PLAYED)), st.floats(0.1, 100), st.floats(0, 1e4))
def test_every_trouble_of_a_scenario_comes_in_turn_and_passes(
    name: Scenario, rate_per_s: float, started_s: float
) -> None:
    play = Play(PLAYED[name], rate_per_s, lambda: now_s, started_s)
    seen = []
    for tenth in range(20 * len(PLAYED[name])):
        now_s = started_s + (tenth + 0.5) * play.phase_s / 10
        seen.append(play.trouble)
    assert [trouble for trouble in dict.fromkeys(seen) if trouble] == list(PLAYED[name])
    assert seen.count(None) == len(seen) / 2
    assert set(seen) == {None, *PLAYED[name]}
    assert set(PLAYED[Scenario.MIXED]) == {*Scenario} - {Scenario.MIXED}
    assert play.phase_s * rate_per_s >= 0.999 * PHASE_PARTS


@given(st.floats(0.1, 1000))
def test_however_fast_the_parts_each_peace_sees_a_lost_camera_come_back(rate_per_s: float) -> None:
    """A connection is tried again several times in it, and then nothing is judged until the stream has settled."""
    play = Play(PLAYED[Scenario.MIXED], rate_per_s, lambda: 0.0, 0.0)
    assert play.longest_wait_s <= play.phase_s / 4
    assert play.longest_wait_s + SETTLE_S + LOOK_EVERY_S < play.phase_s / 2
    assert Play((), rate_per_s, lambda: 0.0, 0.0).longest_wait_s == LONGEST_S  # a real broker is not hammered


@given(st.floats(0.1, 1000))
def test_where_a_gap_is_played_an_outage_fits_into_the_outbox_and_a_burst_does_not(rate_per_s: float) -> None:
    play = Play(PLAYED[Scenario.MIXED], rate_per_s, lambda: 0.0, 0.0)
    assert play.events_kept is not None
    assert play.phase_s * rate_per_s < play.events_kept < play.phase_s * rate_per_s * BURST / 2
    assert Play(PLAYED[Scenario.OUTAGE], rate_per_s, lambda: 0.0, 0.0).events_kept is None


def test_a_scenario_that_is_none_is_refused(tmp_path: Path, finish_here: Callable[..., tuple[int, str, str]]) -> None:
    config = write_config(tmp_path, tmp_path / "no-bundle", {"belt": LIVE})
    code, _out, err = finish_here("simulate", config, "--scenario", "flood")
    assert (code, all(f"'{each}'" in err for each in Scenario)) == (ConfigError.exit_code, True)


def test_a_simulation_leaves_the_station_s_outbox_alone_and_does_not_run_beside_it(
    tmp_path: Path, mosquitto: Mosquitto, mes: Subscriber, finish_here: Callable[..., tuple[int, str, str]]
) -> None:
    config = write_config(tmp_path, tmp_path / "no-bundle", {"top": LIVE}, broker=at(mosquitto.port))
    for scenario in ((), ("--scenario", "burst")):
        simulated = ("simulate", config, *scenario, "--rate", "50", "--parts", "3")
        code, _out, err = finish_here(*simulated)
        assert (code, (tmp_path / "outbox.sqlite").exists()) == (0, False), err
        with closing(Outbox(OutboxSettings(path=tmp_path / "outbox.sqlite"))):  # as the station's
            code, _out, err = finish_here(*simulated)
        assert (code, "another run-inspection uses it" in err) == (OutboxError.exit_code, True)
        (tmp_path / "outbox.sqlite").unlink()


def test_a_station_that_has_no_outbox_yet_does_not_start_beside_its_simulation(
    tmp_path: Path, play: Callable[..., None], mes: Subscriber
) -> None:
    play({"top": LIVE}, "--rate", "20", station="new")
    mes.wait_for(lambda: len(mes.events("result")) > 0)
    with pytest.raises(OutboxError, match="another run-inspection uses it"):
        Outbox(OutboxSettings(path=tmp_path / "new" / "outbox.sqlite"))


def test_without_a_live_camera_none_can_be_down(
    tmp_path: Path, finish_here: Callable[..., tuple[int, str, str]]
) -> None:
    config = write_config(tmp_path, tmp_path / "no-bundle", {"top": {"kind": "folder", "path": "none"}})
    code, _out, err = finish_here("simulate", config, "--scenario", "camera-down")
    assert (code, "no camera is live" in err) == (ConfigError.exit_code, True)
    assert Scenario.CAMERA_DOWN not in troubles_of(Scenario.MIXED, has_live_cameras=False)
    assert troubles_of(Scenario.MIXED, has_live_cameras=True) == PLAYED[Scenario.MIXED]


def test_what_was_retained_of_a_camera_that_is_gone_is_cleared(
    tmp_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    for cameras in ({"old": LIVE, "top": LIVE}, {"top": LIVE}):
        config = write_config(tmp_path, tmp_path / "no-bundle", cameras, broker=at(mosquitto.port))
        process = run_command("simulate", config, "--parts", "3", "--rate", "20", folder=tmp_path)
        _out, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, err
    cleared = {message.topic.rsplit("/", 1)[1] for message in mes.messages if message.payload == b""}
    mes.wait_for(lambda: any(message.topic.endswith("old/status") and not message.payload for message in mes.messages))
    assert {message.topic.split("/")[-2] for message in mes.messages if not message.payload} == {"old"}
    assert cleared >= {"last", "counters", "status"}
