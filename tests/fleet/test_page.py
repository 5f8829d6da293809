import json
from pathlib import Path

import pytest

from fleet.order import Order, Package
from fleet.page import page, troubles
from fleet.report import Report
from fleet.station import Station
from tests.runtime.browser import CHROMIUM, chromium


def station(name: str, **changed: object) -> Station:
    counters = {"top": {"ok": 990, "not_ok": 8, "not_decidable": 2, "drifts": False}}
    each = Station(name, {"state": "online", "reason": ""}, {"name": "cell", "sha256": "ab" * 32}, cameras=counters)
    for key, value in changed.items():
        setattr(each, key, value)
    return each


def report(error: str = "", sha256: str | None = None) -> Report:
    return Report(state="running", serial=1, sha256=sha256, model="cell", model_sha256="ab" * 32, error=error)


def test_what_needs_somebody_comes_first_and_is_said() -> None:
    package = Package(sha256="cd" * 32, url="https://x/p")
    order = Order(station="f", serial=1, roll_out="r", package=package, previous=None)
    stations = [
        station("a"),
        station("b", status={"state": "offline", "reason": "connection lost"}),
        station("c", cameras={"top": {"ok": 1, "drifts": True}}),
        station("d", report=report("it <failed>"), has_agent=True),
        station("e", report=report()),
        station("f", report=report(), has_agent=True, order=order),
        station("g", cameras={"top": {"ok": -1, "not_ok": "many", "drifts": "no"}}),
    ]
    assert [troubles(each) for each in stations] == [
        [],
        ["offline: connection lost"],
        ["drifts: top"],
        ["it <failed>"],
        ["its agent is away"],
        ["does not have the bundle that it should have"],
        [],
    ]
    drawn = page({each.name: each for each in stations}, 1.8e9)
    assert "7 stations, 6 online, 5 need attention" in drawn
    order_of_rows = [drawn.index(f">{name}</td>") for name in "bcdefag"]
    assert order_of_rows == sorted(order_of_rows)
    assert "it &lt;failed&gt;" in drawn
    assert "1.00%" in drawn


def test_one_station_that_tells_what_no_file_can_hold_leaves_the_page_of_the_others() -> None:
    half = json.loads('"\\ud800"')
    drawn = page({"a": station("a"), "b": station("b", status={"reason": half}, model={"name": half})}, 1.8e9)
    assert drawn.encode().decode() == drawn
    assert ">a</td>" in drawn


def test_one_station_that_tells_numbers_without_end_leaves_the_page_of_the_others() -> None:
    endless = station("a", cameras={name: {"ok": 9 * 10**4299, "not_ok": 10**400} for name in ("left", "right")})
    assert ">a</td>" in page({"a": endless}, 1.8e9)


@pytest.mark.machine
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
def test_a_phone_shows_each_station_whole_with_its_figures_named(tmp_path: Path) -> None:
    name = "pwae/site/area/line/" + "press-" * 12
    drawn = page({name: station(name, status={"state": "offline", "reason": "connection lost"})}, 1.8e9)
    (tmp_path / "fleet.html").write_text(drawn, encoding="utf-8")
    with chromium() as browser:
        phone = browser.new_page(viewport={"width": 390, "height": 844})
        phone.goto(f"file://{tmp_path}/fleet.html")
        assert phone.evaluate("document.documentElement.scrollWidth") == 390
        named = "[...document.querySelectorAll('td')].map(cell => getComputedStyle(cell, '::before').content)"
        assert '"not passed: "' in phone.evaluate(named)
