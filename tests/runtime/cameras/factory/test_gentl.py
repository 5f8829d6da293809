"""Cameras behind a GenTL producer, EMVA's simulated one: several behind one driver, and none holds up another."""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.config import parse_settings
from core.errors import CameraError, ConfigError
from runtime.cameras import check
from runtime.cameras.check import check_camera
from runtime.cameras.factory.gentl import GentlStream, connection
from runtime.cameras.factory.producer import FOLDERS_VARIABLE
from runtime.cameras.opening import open_camera
from runtime.cameras.settings import GentlSettings
from runtime.parts.verdict import Reason
from tests.runtime.gentl import viky
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.watcher import Watcher

Watch = Callable[..., Watcher]
MACHINE = slice(18, 20)
"""Where an ELF file names the processor it is made for, and the number of one that nobody has."""
NO_PROCESSOR = b"\xfe\xed"


def settings(serial: str | None = "0", **changed: Any) -> GentlSettings:
    section = {"kind": "gentl", "producer": str(viky()), "serial": serial, **changed}
    return GentlSettings.model_validate(section)


@pytest.fixture(autouse=True)
def _short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "TRIAL_S", 0.2)


@pytest.fixture
def connect() -> Iterator[Callable[..., GentlStream]]:
    streams: list[GentlStream] = []

    def opened(*arguments: Any, **changed: Any) -> GentlStream:
        streams.append(connection(settings(*arguments, **changed))())
        return streams[-1]

    yield opened
    for stream in streams:
        stream.release()


def test_frames_come_and_say_their_layout(watch: Watch) -> None:
    features = {"Width": 200, "Height": 120, "PixelFormat": "RGBa8", "AcquisitionFrameRate": 100.0}
    watcher = watch(settings("1", frozen_after=None, features=features))
    wait_until(lambda: watcher.seen() >= 5)
    assert watcher.stop() < 2
    assert watcher.faults() == []
    frame = watcher.frames[-1]
    assert frame.pixels_u8 is not None
    assert (frame.pixels_u8.shape, frame.layout) == ((120, 200, 3), "RGB")
    assert frame.pixels_u8.max() > frame.pixels_u8.min()


def test_a_camera_is_chosen_by_the_producer_s_own_name_too(connect: Callable[..., GentlStream]) -> None:
    stream = connect(None, device="VikyTL_DEV_green", features={"PixelFormat": "Mono8", "Width": 200})
    assert "serial 1, device VikyTL_DEV_green, behind viky.cti" in stream.name
    assert stream.grab()
    decoded, pixels = stream.retrieve()
    assert decoded
    assert pixels is not None
    assert (pixels.shape, stream.layout) == ((400, 200), "BGR")


def test_one_of_three_cameras_behind_a_producer_goes_and_comes_while_the_others_film(
    connect: Callable[..., GentlStream],
) -> None:
    red, blue = (connect(serial, features={"AcquisitionFrameRate": 20.0}) for serial in ("0", "2"))
    last: dict[str, int] = {}
    for _ in range(3):
        green = connect("1")
        for stream in (red, green, blue):
            assert stream.grab()
            assert stream.retrieve()[0]
        green.release()
        for name, stream in {"red": red, "blue": blue}.items():
            assert stream.block_id > last.get(name, 0)  # one that was opened anew would count from 1
            last[name] = stream.block_id


def test_who_waits_for_a_frame_lets_all_others_work(connect: Callable[..., GentlStream]) -> None:
    """EMVA's own binding does not: there nothing else runs while it waits."""
    stream = connect(features={"AcquisitionFrameRate": 5.0})
    ticks = 0
    waiting = threading.Event()

    def work() -> None:
        nonlocal ticks
        while waiting.is_set():
            ticks += 1
            time.sleep(0.001)

    waiting.set()
    worker = threading.Thread(target=work)
    worker.start()
    most = 0
    for _ in range(20):  # a wait may be short, where this machine paused before it
        before = ticks
        assert stream.wait(30)
        most = max(most, ticks - before)
        if most >= 10:
            break
    waiting.clear()
    worker.join()
    assert most >= 10


def test_a_camera_that_does_not_answer_its_reader_holds_up_no_other(connect: Callable[..., GentlStream]) -> None:
    dead, other = connect("0"), connect("1")
    port, asked, answers = dead._nodes._port, threading.Event(), threading.Event()
    read = port.read

    def read_late(address: int, length: int) -> bytes:
        asked.set()
        answers.wait(WAIT_S)
        return read(address, length)

    port.read = read_late  # type: ignore[method-assign]
    dead._nodes._nodes["Width"].node.invalidate_node()
    asking = threading.Thread(target=dead._nodes.get, args=("Width",))
    asking.start()
    assert asked.wait(WAIT_S)
    assert other.grab()
    assert other._nodes.get("Width") == 400
    assert connect("2").grab()
    assert asking.is_alive()
    answers.set()
    asking.join()


def test_frames_for_which_no_buffer_was_free_are_parts_that_nobody_saw() -> None:
    """The reader stands still at first: the camera fills what buffers there are, and numbers what it lost."""
    goes_on = threading.Event()
    block_ids: list[int] = []

    def stand_still(camera: Any) -> None:
        reach = camera._connect

        def connect() -> GentlStream:
            stream: GentlStream = reach()
            retrieve = stream.retrieve

            def retrieve_later() -> Any:
                block_ids.append(stream.block_id)
                goes_on.wait(WAIT_S)
                return retrieve()

            stream.retrieve = retrieve_later  # type: ignore[method-assign]
            return stream

        camera._connect = connect

    features = {"AcquisitionFrameRate": 100.0, "PixelFormat": "Mono8", "Width": 100, "Height": 100}
    watcher = Watcher(settings(trigger={"mode": "hardware"}, features=features, frozen_after=None), stand_still)
    wait_until(lambda: bool(block_ids))
    time.sleep(0.5)  # the driver does not tell what it has lost
    goes_on.set()
    wait_until(lambda: len(block_ids) >= 12)
    assert watcher.stop() < 2
    frames = list(watcher.frames)
    came = [place for place, frame in enumerate(frames) if frame.fault != Reason.NO_FRAME]
    assert came == [block_id - block_ids[0] for block_id in block_ids[: len(came)]]
    assert sum(frame.fault == Reason.NO_FRAME for frame in frames) >= 10
    assert watcher.camera.status().reconnects == 0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"features": {"Widht": 200}}, "it has no feature `Widht`: did you mean `Width`?"),
        ({"features": {"Width": -1}}, "it refuses `Width: -1` (Value = -1 must be equal or greater than Min = 100)"),
        ({"features": {"PixelFormat": "Mono7"}}, "it takes RGBa8, Mono8)"),
        ({"features": {"AspectRatio": 2.0}}, "it refuses `AspectRatio: 2.0` (Node is not writable)"),
        ({"features": {"AcquisitionStart": True}}, "it refuses `AcquisitionStart: True`"),
        ({"chunks": ["Encoder"]}, "it has no chunk data `Encoder`; it has NrBounces, Scan3dData"),
        ({"trigger": {"mode": "software"}}, "it has no feature `TriggerSource`"),
        ({"serial": "9"}, "serial 9 does not answer; found: Viky, serial 0, device VikyTL_DEV_red; Viky, serial 1"),
        ({"serial": None, "device": "x"}, "device x does not answer; found: Viky, serial 0, device VikyTL_DEV_red"),
    ],
)
def test_what_the_camera_has_not_or_refuses_is_told_and_nothing_is_judged(changed: dict[str, Any], reason: str) -> None:
    refused = settings(**changed)
    with pytest.raises(OSError) as told:  # noqa: PT011, its words are compared below
        connection(refused)()
    assert reason in str(told.value)


def test_a_camera_that_somebody_has_is_told_by_the_doctor(connect: Callable[..., GentlStream]) -> None:
    first = connect()
    assert first.grab()
    with pytest.raises(CameraError, match=r"camera top: it is open already: .* \(-1004\)\.$"):
        check_camera("top", settings())
    first.release()
    assert connect().grab()


def test_the_doctor_names_a_camera_with_its_producer_and_its_frames() -> None:
    told = check_camera("top", settings(features={"AcquisitionFrameRate": 100.0}))
    assert "Viky, serial 0, device VikyTL_DEV_red, behind viky.cti, gives frames of 400 x 400 pixels, none of" in told
    with pytest.raises(CameraError, match=r"its frames have 400 x 400 pixels, and top's region \[390, 0, 20, 10\]"):
        check_camera("top", settings(roi=[390, 0, 20, 10]))


def test_what_is_no_producer_for_this_machine_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(viky().read_bytes())
    content[MACHINE] = NO_PROCESSOR
    (tmp_path / "foreign.cti").write_bytes(content)
    (tmp_path / "text.cti").write_text("x" * 100)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(FOLDERS_VARIABLE, "")
    for producer, reason in {
        tmp_path / "gone.cti": "there is no producer",
        tmp_path / "foreign.cti": "cannot be loaded (it is made for another processor); install",
        tmp_path / "text.cti": "cannot be loaded",
        tmp_path / "empty": "no .cti file lies in",
        None: f"{FOLDERS_VARIABLE} is not set; install the camera maker's software",
    }.items():
        with pytest.raises(CameraError) as told:
            check_camera("top", settings(producer=producer))
        assert reason in str(told.value)
        assert "\n" not in str(told.value)


def test_a_producer_is_found_by_the_variable_also_beside_one_that_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.cti").write_text("x" * 100)
    monkeypatch.setenv(FOLDERS_VARIABLE, f"{tmp_path}{os.pathsep}{viky().parent}")
    assert "behind viky.cti" in check_camera("top", settings("2", producer=None))


def test_connecting_again_and_again_leaves_nothing_behind() -> None:
    from genicam import genapi

    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    def descriptions() -> int:
        gc.collect()
        return sum(type(each) is genapi.NodeMap for each in gc.get_objects())

    reach = connection(settings(features={"PixelFormat": "Mono8"}))
    before = descriptions()
    counts = []
    for _ in range(4):
        stream = reach()
        assert stream.grab()
        stream.release()
        counts.append(held())
    del stream
    assert all(held_last <= held_once for held_last, held_once in zip(counts[-1], counts[1], strict=True))
    assert descriptions() == before


@pytest.mark.parametrize("place", [{}, {"device": "x", "serial": "1"}])
def test_a_camera_is_named_by_its_serial_or_its_device(place: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="`serial` or its `device`"):
        parse_settings({"kind": "gentl", **place}, GentlSettings, "inspection.yaml")


def test_without_the_packages_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[gentl\]'"):
        open_camera("top", GentlSettings(kind="gentl", serial="1"))


def test_cameras_lists_what_stands_behind_a_producer(finish_here: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = finish_here("cameras", "--producer", viky())
    assert code == 0, err
    sections = list(yaml.safe_load(out)["cameras"].values())
    found = [parse_settings(section, GentlSettings, "inspection.yaml") for section in sections]
    assert [(each.serial, each.producer) for each in found] == [(serial, viky()) for serial in "012"]
    code, _, err = finish_here("cameras", "--producer", "gone.cti")
    assert (code, err.count("\n")) == (CameraError.exit_code, 1)
    assert "there is no producer " in err
    assert finish_here("cameras", "--producer", viky(), "--interface", "lo")[0] == ConfigError.exit_code
