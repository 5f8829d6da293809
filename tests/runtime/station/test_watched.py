"""A station that watches a folder, killed and started again: every picture one event, under one id."""

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from core.config import parse_settings
from core.errors import ConfigError
from runtime.cameras.settings import WatchSettings
from tests.runtime.broker import Mosquitto
from tests.runtime.command import at, run_command, write_config
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.waiting import WAIT_S, wait_until


def test_after_kills_no_picture_is_judged_twice_nor_forgotten(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    inbox = write_pictures(tmp_path / "in", good=150)
    camera = {"kind": "watch", "path": str(inbox), "move_to": str(tmp_path / "done"), "max_fps": 100}
    config = write_config(tmp_path, bundle_path, {"top": camera}, broker=at(mosquitto.port))
    for kill in range(4):
        process = run_command(config)
        least = len(mes.events()) + 20
        mes.wait_for(lambda least=least: len(mes.events()) >= least)  # type: ignore[misc]
        process.send_signal(signal.SIGKILL if kill < 3 else signal.SIGCONT)
        if kill < 3:
            process.communicate(timeout=WAIT_S)
    wait_until(lambda: not list(inbox.iterdir()))
    mes.wait_for(lambda: len({event["id"] for event in mes.events()}) >= 150)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT_S)
    told = {event["id"]: event["frame"]["source"] for event in mes.events()}
    assert Counter(told.values()) == Counter(f"{number:05}.png" for number in range(150))
    assert len(list((tmp_path / "done").iterdir())) == 150


def test_a_name_brings_the_parts_id(tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber) -> None:
    inbox, source = tmp_path / "in", write_pictures(tmp_path / "source", good=1) / "00000.png"
    (inbox / "SN1_sub").mkdir(parents=True)
    for name in ("SN0047_top.png", "4711.png", "SN1_sub/SN8_top.png", "SN_top.png"):
        (inbox / name).write_bytes(source.read_bytes())
    camera = {"kind": "watch", "path": str(inbox), "part_id_pattern": r"^SN(\d+)_"}
    process = run_command(write_config(tmp_path, bundle_path, {"top": camera}, broker=at(mosquitto.port)))
    mes.wait_for(lambda: len(mes.events()) == 4)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT_S)
    ids = {event["frame"]["source"]: event["part_id"] for event in mes.events()}
    assert ids == {"SN0047_top.png": "0047", "4711.png": None, "SN1_sub/SN8_top.png": "8", "SN_top.png": None}


@pytest.mark.parametrize("pattern", ["SN\\d+", "(SN)(\\d+)", "(SN"])
def test_a_pattern_that_names_no_part_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="`part_id_pattern`"):
        parse_settings({"kind": "watch", "path": ".", "part_id_pattern": pattern}, WatchSettings, "inspection.yaml")


def test_a_folder_that_is_gone_is_told_on_the_cameras_topic(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    inbox = write_pictures(tmp_path / "in", good=1)
    config = write_config(
        tmp_path, bundle_path, {"top": {"kind": "watch", "path": str(inbox)}}, broker=at(mosquitto.port)
    )
    process = run_command(config)
    mes.wait_for(lambda: len(mes.events()) == 1)
    inbox.rename(tmp_path / "gone")
    mes.wait_for(lambda: any(status["state"] == "stalled" for status in mes.events("top/status")))
    (tmp_path / "gone").rename(inbox)
    mes.wait_for(lambda: mes.events("top/status")[-1]["state"] == "streaming")
    write_pictures(tmp_path / "source", good=2)
    (tmp_path / "source" / "00001.png").rename(inbox / "00001.png")
    mes.wait_for(lambda: len(mes.events()) == 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT_S)
    assert [event["frame"]["source"] for event in mes.events()] == ["00000.png", "00001.png"]


def test_a_station_that_would_judge_its_own_pictures_does_not_start(
    tmp_path: Path, bundle_path: Path, finish_here: Callable[..., tuple[int, str, str]]
) -> None:
    inbox = write_pictures(tmp_path / "in", good=1)
    (tmp_path / "link").symlink_to(inbox)
    for kind, key, own in (
        ("watch", "evidence.folder", {"evidence": {"folder": str(tmp_path / "link" / "evidence")}}),
        ("folder", "evidence.folder", {"evidence": {"folder": str(inbox / "evidence")}}),
    ):
        cameras = {"top": {"kind": kind, "path": str(inbox)}}
        code, _out, err = finish_here(write_config(tmp_path, bundle_path, cameras, **own))
        assert code == ConfigError.exit_code
        assert f"`{key}` lies in the folder that camera `top` judges" in err
