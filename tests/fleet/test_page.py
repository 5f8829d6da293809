from fleet.order import Order, Package
from fleet.page import page, troubles
from fleet.report import Report
from fleet.station import Station


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
        ["has not the bundle that it should have"],
        [],
    ]
    drawn = page({each.name: each for each in stations}, 1.8e9)
    assert "7 stations, 6 online, 5 need somebody" in drawn
    order_of_rows = [drawn.index(f">{name}</td>") for name in "bcdefag"]
    assert order_of_rows == sorted(order_of_rows)
    assert "it &lt;failed&gt;" in drawn
    assert "1.00%" in drawn
