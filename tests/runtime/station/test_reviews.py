"""People mark judged parts: over HTTP, with the right to; it is kept, told to the MES and counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.datasets.remarks import Truth
from core.stop import Stop
from runtime.history.file import HistoryFile
from runtime.history.marks import marks
from runtime.station.reviews import reviews_of
from runtime.station.simulating.simulation import open_simulation
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import at, run_command, write_config
from tests.runtime.contract import check
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.station.test_judging_loop import BATCH, station
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.web import ask, is_up, metric, post, state

LOOK, MARK = "a-token-to-look", "a-token-to-mark"
JSON = {"content-type": "application/json"}


def said(**what: Any) -> bytes:
    return json.dumps(what).encode()


def test_a_mark_is_kept_told_and_counted(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOK_TOKEN", LOOK)
    monkeypatch.setenv("MARK_TOKEN", MARK)
    port = free_port()
    cameras = {"top": {"kind": "watch", "path": str(write_pictures(tmp_path / "pictures", good=20, bad=2))}}
    view = {"port": port, "token_env": "LOOK_TOKEN", "mark_token_env": "MARK_TOKEN"}
    evidence = {"folder": str(tmp_path / "evidence"), "min_free_bytes": 0}
    config = write_config(tmp_path, bundle_path, cameras, broker=at(mosquitto.port), view=view, evidence=evidence)
    process = run_command(config)
    address, may = f"http://127.0.0.1:{port}", {"authorization": f"Bearer {MARK}", **JSON}
    wait_until(lambda: process.poll() is not None or is_up(address))
    mes.wait_for_events(22)
    rejected, other = [event for event in mes.events() if event["verdict"]["name"] == "NotOK"]
    where = f"{address}/events/{rejected['id']}/mark"
    wait_until(lambda: post(where, said(was="good", by="Ada", note="  oil  "), **may)[0] == 200)

    mes.wait_for(lambda: len(mes.events("top/review")) == 1)
    (review,) = mes.events("top/review")
    assert [check(message) for message in mes.messages if message.topic.endswith("/review")] == ["review"]
    assert review["event_id"] == rejected["id"]
    assert (review["was"], review["by"], review["note"]) == ("good", "Ada", "oil")
    assert review["verdict"] == rejected["verdict"]
    (kept,) = marks(HistoryFile(tmp_path / "evidence"))
    assert (kept.was, kept.by, kept.id) == (Truth.GOOD, "Ada", review["id"])

    assert post(f"{address}/events/{other['id']}/mark", said(was="bad", by="Ada"), **may)[0] == 200
    look = {"authorization": f"Bearer {LOOK}"}
    told = json.loads(ask(f"{address}/state.json", **look)[1])["cameras"]["top"]["told"]
    assert (told["rejected"], told["looked_at"]) == (2, 2)
    assert told["false_rejects"]["rate"] == 1 / 21
    assert told["false_rejects"]["low"] < 1 / 21 < told["false_rejects"]["high"]
    assert told["false_rejects"]["promised"] == 0.01
    lines = ask(f"{address}/metrics", **may)[1].decode()
    assert 'pwae_rejects_looked_at{camera="top"} 2.0' in lines
    assert 'pwae_false_reject_rate_promised{camera="top"} 0.01' in lines
    assert f'pwae_false_reject_rate_told{{bound="value",camera="top"}} {1 / 21}' in lines

    assert post(where, said(was="good", by="Eve"), **JSON, **look)[0] == 403
    assert post(where, said(was="good", by="Eve"), **JSON)[0] == 401
    assert post(f"{address}/events/none/mark", said(was="good", by="Ada"), **may)[0] == 404
    for wrong in (
        {"was": "perhaps", "by": "Ada"},
        {"was": "good"},
        {"was": "good", "by": " "},
        {"was": "bad", "by": "A", "x": 1},
    ):
        assert post(where, said(**wrong), **may)[0] == 422
    assert len(mes.events("top/review")) == 2
    process.terminate()
    _out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, "Traceback" in err) == (0, False), err


def test_nobody_may_mark_where_no_token_says_so(tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto) -> None:
    port = free_port()
    cameras = {"top": {"kind": "watch", "path": str(write_pictures(tmp_path / "pictures", good=1, bad=1))}}
    evidence = {"folder": str(tmp_path / "evidence"), "min_free_bytes": 0}
    config = write_config(
        tmp_path, bundle_path, cameras, broker=at(mosquitto.port), view={"port": port}, evidence=evidence
    )
    run_command(config)
    address = f"http://127.0.0.1:{port}"
    wait_until(lambda: is_up(address))
    wait_until(lambda: state(address)["cameras"]["top"]["not_ok"] == 1)
    code, why = post(f"{address}/events/some/mark", said(was="good", by="Ada"), **JSON)
    assert (code, why["detail"]) == (
        403,
        "no right to mark: give the token that `view.mark_token_file` or `_env` names",
    )
    assert state(address)["cameras"]["top"]["told"] is None
    assert metric(address, 'pwae_rejects_looked_at{camera="top"}') == 0


def test_what_a_mark_pushes_out_of_a_full_outbox_is_counted(tmp_path: Path, mes: Subscriber) -> None:
    evidence = {"folder": tmp_path / "evidence", "min_free_bytes": 0}
    bounds = {"path": tmp_path / "box.sqlite", "max_events": BATCH}
    line = station(tmp_path, mes, evidence=evidence, outbox=bounds)
    with open_simulation(line, rate_per_s=1000, parts=BATCH) as inspection:
        inspection.run(Stop())
        reviews = reviews_of(inspection)
        assert reviews is not None
        mes.wait_for_events(BATCH)
        for event in mes.events() * 2:
            assert reviews.mark(event["id"], Truth.GOOD, "Ada", "") is not None
        assert inspection.publisher.outbox.depth == BATCH
        assert inspection.reporter.totals.discarded == BATCH
