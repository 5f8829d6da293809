"""How a run ends, as its own process, against a real mosquitto: by signals, kills and full disks. Nothing is lost."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from core.errors import BrokerError, OutboxError
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import at, finish, folder, run_command, seqs, stored, write_config
from tests.runtime.contract import check
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.waiting import WAIT_S, wait_until


def test_after_kill_9_the_next_run_sends_what_was_judged(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    config = write_config(
        tmp_path,
        bundle_path,
        {"top": folder(write_pictures(tmp_path / "pictures", 400), max_fps=400)},
        broker=at(free_port(), connect_timeout_s=60),
        outbox={"path": str(tmp_path / "box.sqlite")},
    )
    process = run_command(config)
    wait_until(lambda: stored(tmp_path / "box.sqlite") > 50)
    process.kill()
    process.communicate(timeout=WAIT_S)
    judged = stored(tmp_path / "box.sqlite")
    config = write_config(
        tmp_path,
        bundle_path,
        {"top": folder(write_pictures(tmp_path / "few", 3))},
        broker=at(mosquitto.port),
        outbox={"path": str(tmp_path / "box.sqlite")},
    )
    code, _out, err = finish(config, "--summary-json", str(tmp_path / "summary.json"))
    assert code == 0, err
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["waiting_before"], summary["acknowledged"]) == (judged, judged + 3)
    mes.wait_for(lambda: len(mes.events()) >= judged + 3)
    boots = {event["boot_id"]: event["time"] for event in mes.events()}
    first, second = sorted(boots, key=lambda boot: boots[boot])
    assert seqs([event for event in mes.events() if event["boot_id"] == first]) == list(range(1, judged + 1))
    assert seqs([event for event in mes.events() if event["boot_id"] == second]) == [1, 2, 3]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_within_two_seconds(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber, how: signal.Signals
) -> None:
    if signal.getsignal(how) == signal.SIG_IGN:
        pytest.skip("whoever runs the tests has them ignore it, as `nohup` does, and so does what they start")
    pictures = write_pictures(tmp_path / "pictures", 100)
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures, max_fps=10)}, broker=at(mosquitto.port))
    process = run_command(config)
    mes.wait_for(lambda: len(mes.events()) >= 3)
    process.send_signal(how)
    asked_s = time.monotonic()
    _out, err = process.communicate(timeout=WAIT_S)
    assert time.monotonic() - asked_s < 2
    assert process.returncode == (130 if how == signal.SIGINT else 0), err
    assert "Traceback" not in err
    status = json.loads(mosquitto.retained("pwae/site/area/line/test-1/status").payload)
    assert (status["state"], status["reason"]) == ("offline", how.name)
    assert seqs(mes.events()) == list(range(1, len(mes.events()) + 1))


def test_a_signal_while_it_is_imported_ends_it_as_well(tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path / "no-bundle", {"top": folder(tmp_path)})
    program = (
        "import os, signal, sys; from types import SimpleNamespace; from runtime import cli\n"
        "def ask(name, *_): os.kill(os.getpid(), signal.SIGTERM) if name == 'runtime.settings' else None\n"
        "sys.meta_path.insert(0, SimpleNamespace(find_spec=ask)); cli.run_inspection()"
    )
    assert _ended(program, "simulate", config) == (0, "stopped by SIGTERM before it had begun")
    figures = tmp_path / "figures.json"
    for given in (config, tmp_path / "misspelt.yaml"):
        figures.write_text('{"judged": 7}')
        assert _ended(program, given, "--summary-json", figures)[0] == 0
        assert not figures.exists(), "they are of an earlier run"
    assert _ended(program, config, "--summary-json", config)[0] == 0
    assert config.exists()


@pytest.mark.parametrize(
    ("how", "ending"),
    [
        ("SIGTERM", (0, "stopped by SIGTERM before it had begun")),
        pytest.param("SIGINT", (130, "interrupted"), marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize(
    "slow", ["inference.onnx_backend.OnnxBackend._open", "station.assembly.open_camera", "delivery.opening.Outbox"]
)
def test_a_signal_while_it_is_set_up_ends_it_at_once(
    tmp_path: Path, bundle_path: Path, slow: str, how: str, ending: tuple[int, str]
) -> None:
    """A model may load for a minute, and a folder on a network may be long."""
    config = write_config(tmp_path, bundle_path, {"top": folder(write_pictures(tmp_path / "pictures", 1))})
    place, name = f"runtime.{slow}".rsplit(".", 1)
    program = (
        "import os, pkgutil, signal, threading; from runtime.cli import run_inspection\n"
        "def slow(*_):\n"
        f"    os.kill(os.getpid(), signal.{how}); threading.Event().wait()\n"
        f"setattr(pkgutil.resolve_name('{place}'), '{name}', slow); run_inspection()"
    )
    assert _ended(program, config) == ending


def _ended(program: str, *arguments: str | Path) -> tuple[int, str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, check=False, text=True, timeout=WAIT_S)
    return ended.returncode, ended.stderr.splitlines()[-1]


def test_killed_at_any_moment_it_loses_no_judged_part(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    config = write_config(
        tmp_path,
        bundle_path,
        {"top": folder(write_pictures(tmp_path / "pictures", 400), max_fps=200)},
        broker=at(mosquitto.port),
    )
    judged: set[str] = set()
    for kill_after in (1, 3, 10, 40, 90):
        process = run_command(config)
        before = len(mes.events())
        mes.wait_for_events(before + kill_after)
        process.kill()
        process.communicate(timeout=WAIT_S)
        with sqlite3.connect(tmp_path / "outbox.sqlite") as database:
            judged |= {json.loads(body)["id"] for (body,) in database.execute("SELECT body FROM events")}
        database.close()
    config = write_config(
        tmp_path, bundle_path, {"top": folder(write_pictures(tmp_path / "few", 3))}, broker=at(mosquitto.port)
    )
    code, _out, err = finish(config)
    assert code == 0, err
    mes.wait_for(lambda: judged <= {event["id"] for event in mes.events()})
    mes.wait_for(lambda: any(event["state"] == "offline" for event in mes.events("/status")[-1:]))
    by_boot: dict[str, set[int]] = {}
    for event in mes.events():
        by_boot.setdefault(event["boot_id"], set()).add(event["seq"])
    assert len(by_boot) > 1
    assert all(numbers == set(range(1, len(numbers) + 1)) for numbers in by_boot.values())


def test_a_full_disk_ends_it_with_what_was_stored_kept(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    cameras = {"top": folder(write_pictures(tmp_path / "pictures", 1000))}
    config = write_config(tmp_path, bundle_path, cameras, broker=at(free_port(), connect_timeout_s=60))
    command = [sys.executable, "-c", "from runtime.cli import run_inspection; run_inspection()", str(config)]
    limited = ["prlimit", "--fsize=400000", *command]  # no file may grow beyond this: SQLite meets a full disk
    done = subprocess.run(limited, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=WAIT_S)
    assert done.returncode == OutboxError.exit_code, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "free space" in line
    assert "Traceback" not in done.stderr
    kept = stored(tmp_path / "outbox.sqlite")
    assert kept > 20
    few = {"top": folder(write_pictures(tmp_path / "few", 2))}
    code, _out, err = finish(write_config(tmp_path, bundle_path, few, broker=at(mosquitto.port)))
    assert code == 0, err
    mes.wait_for(lambda: len(mes.events()) >= kept + 2)
    first = [event for event in mes.events() if event["boot_id"] == mes.events()[0]["boot_id"]]
    assert seqs(first) == list(range(1, kept + 1))


def test_a_disk_that_fills_up_is_told_to_the_mes(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    cameras = {"top": folder(write_pictures(tmp_path / "pictures", 1000))}
    config = write_config(tmp_path, bundle_path, cameras, broker=at(mosquitto.port))
    command = [sys.executable, "-c", "from runtime.cli import run_inspection; run_inspection()", str(config)]
    limited = ["prlimit", "--fsize=200000", *command]  # less than SQLite's journal grows to
    done = subprocess.run(limited, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=WAIT_S)
    assert done.returncode == OutboxError.exit_code, done.stderr
    mes.wait_for(lambda: [status["state"] for status in mes.events("/status")][-1:] == ["offline"])
    assert re.search("connection lost|free space", mes.events("/status")[-1]["reason"])  # by whoever met it first
    few = {"top": folder(write_pictures(tmp_path / "few", 2))}
    code, _out, err = finish(write_config(tmp_path, bundle_path, few, broker=at(mosquitto.port)))
    assert code == 0, err
    first = {event["seq"] for event in mes.events() if event["boot_id"] == mes.events()[0]["boot_id"]}
    assert first == set(range(1, max(first) + 1))


def test_a_killed_process_is_reported_offline_by_its_will(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", 100)
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures, max_fps=10)}, broker=at(mosquitto.port))
    process = run_command(config)
    mes.wait_for(lambda: [event["state"] for event in mes.events("/status")] == ["online"])
    process.kill()
    process.communicate(timeout=WAIT_S)
    mes.wait_for(lambda: [event["state"] for event in mes.events("/status")] == ["online", "offline"])
    assert mes.events("/status")[-1]["reason"] == "connection lost"


def test_a_full_outbox_gives_up_ok_first_and_tells_which(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", good=60, bad=5)
    bounds = {"path": str(tmp_path / "box.sqlite"), "max_events": 20}
    broker = at(free_port(), connect_timeout_s=4.0)  # in which all 65 are judged
    config = write_config(tmp_path, bundle_path, {"top": folder(pictures)}, broker=broker, outbox=bounds)
    code, _out, _err = finish(config)
    assert code == BrokerError.exit_code
    few = {"top": folder(write_pictures(tmp_path / "few", 1))}
    roomy = {**bounds, "max_events": 100}
    config = write_config(tmp_path, bundle_path, few, broker=at(mosquitto.port), outbox=roomy)
    code, out, err = finish(config)
    assert code == 0, err
    assert re.search(r"events to send +│ +21 │\n│ events acknowledged +│ +21 │", out), "a gap is no event"
    mes.wait_for(lambda: len(mes.events()) >= 21)
    before = [event for event in mes.events() if event["boot_id"] == mes.events()[0]["boot_id"]]
    assert Counter(event["verdict"]["name"] for event in before) == {"OK": 15, "NotOK": 5}
    (gap,) = mes.events("/gap")
    assert (gap["first_seq"], gap["last_seq"]) == (1, 45)
    assert gap["boot_id"] == before[0]["boot_id"]
    assert seqs(before) == list(range(46, 66))
    assert {check(message) for message in mes.messages} >= {"gap", "result", "counters"}
