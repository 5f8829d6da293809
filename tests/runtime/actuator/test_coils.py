"""Coils: what a slow PLC does not take in time is left out, told and counted."""

from types import SimpleNamespace

import pytest

from runtime.actuator.coils import Coils
from runtime.actuator.settings import ModbusSettings
from tests.runtime.plc import Plc
from tests.runtime.waiting import WAIT_S, Clock, wait_until


def test_a_plc_that_is_slower_than_verdicts_come_gets_the_newest_and_what_is_left_out_is_told_and_counted(
    plc: Plc, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("runtime.actuator.coils.LONGEST_QUEUE", 10)
    coils = Coils(ModbusSettings(host="127.0.0.1", port=plc.port, timeout_s=WAIT_S), [0])
    coils.start()
    plc.wait_for(lambda: plc.values("coil", 0) == [1])
    with plc.changed:  # it answers nothing meanwhile
        for number in range(100):
            coils.switch(0, is_on=number == 99)
        assert 89 <= coils.left_out <= 90  # the first may be under way
    plc.wait_for(lambda: plc.values("coil", 0)[-1] == 1 and len(plc.values("coil", 0)) >= 11)
    assert "is too slow: some verdicts do not reach it" in caplog.text
    coils.switch(0, is_on=False)
    wait_until(lambda: coils.problem == "")
    coils.stop()
    assert plc.values("coil", 0)[-2:] == [0, 1]
    assert not coils.fault


def test_a_plc_that_was_switched_off_and_on_has_its_coils_on_before_the_next_verdict_and_what_it_missed_is_counted(
    plc: Plc,
) -> None:
    coils = Coils(ModbusSettings(host="127.0.0.1", port=plc.port), [0])
    coils.start()
    plc.wait_for(lambda: plc.values("coil", 0) == [1])
    coils.switch(0, is_on=False)
    plc.wait_for(lambda: plc.values("coil", 0) == [1, 0])
    plc.stop()  # and with it what its coils were
    plc.start()
    plc.wait_for(lambda: plc.values("coil", 0) == [1, 0, 1])
    before = coils.left_out
    plc.stop()
    for _ in range(3):
        coils.switch(0, is_on=False)
    wait_until(lambda: "gets no verdicts" in coils.problem)
    plc.start()
    plc.wait_for(lambda: plc.values("coil", 0) == [1, 0, 1, 1])
    assert coils.left_out - before == 3
    coils.stop()
    assert not coils.fault


def test_where_judging_stands_still_the_coils_are_on_until_the_next_verdict(
    plc: Plc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.actuator.coils.BEAT_EVERY_S", 0.01)
    monkeypatch.setattr("runtime.actuator.coils.HANGS_S", 0.1)
    coils = Coils(ModbusSettings(host="127.0.0.1", port=plc.port, timeout_s=WAIT_S), [0])
    coils.start()
    for verdicts in (1, 2):
        plc.wait_for(lambda: plc.values("coil", 0)[-1:] == [1])
        coils.switch(0, is_on=False)
        plc.wait_for(lambda: plc.values("coil", 0).count(0) == verdicts)  # noqa: B023
        coils.alive()
    plc.wait_for(lambda: plc.values("coil", 0)[-1] == 1)
    coils.stop()
    assert not coils.fault


def test_the_time_before_judging_begins_is_not_taken_for_its_standing_still(
    plc: Plc, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where the page takes its time to open."""
    clock = Clock()
    monkeypatch.setattr("runtime.actuator.coils.time", SimpleNamespace(monotonic=clock))
    coils = Coils(ModbusSettings(host="127.0.0.1", port=plc.port, heartbeat_register=1, timeout_s=WAIT_S), [0])
    clock.now_s = 10.0
    coils.start()
    plc.wait_for(lambda: plc.values("register", 1) == [1])
    coils.stop()
    assert (plc.values("coil", 0), caplog.text) == ([1, 1], "")
