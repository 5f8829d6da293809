"""Factory cameras of two makers, over real GigE Vision: nothing incomplete, foreign or wrongly set up is judged."""

import importlib.util
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from core.config import parse_settings
from core.errors import CameraError, ConfigError
from runtime.cameras.camera import CameraState
from runtime.cameras.factory.discovery import FoundCamera, find_cameras
from runtime.cameras.factory.features import set_features, set_up
from runtime.cameras.factory.genicam import GenicamStream, VivaNodes
from runtime.cameras.opening import open_camera
from runtime.cameras.settings import GenicamSettings
from runtime.parts.layout import Layout
from runtime.parts.verdict import Reason
from tests.runtime.command import run_command
from tests.runtime.gige import HOST, KINDS, SERIALS, SIZE, FactoryCamera, sole_use
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.watcher import Watcher

pytestmark = pytest.mark.machine
Watch = Callable[..., Watcher]


def test_a_factory_camera_s_frames_are_given_by_address_and_by_serial(
    factory_camera: FactoryCamera, watch: Watch
) -> None:
    for place in ({}, {"address": None, "serial": SERIALS[factory_camera.kind]}):
        watcher = watch(factory_camera.settings(**place))
        wait_until(lambda watcher=watcher: watcher.seen() >= 5)  # type: ignore[misc]
        assert watcher.state == CameraState.STREAMING
        assert watcher.stop() < 2
        assert watcher.faults() == []
        shapes = {frame.pixels_u8.shape for frame in watcher.frames if frame.pixels_u8 is not None}
        assert shapes == {SIZE}


@pytest.mark.parametrize(("pixel_format", "layout"), [("Mono16", "BGR"), ("BayerRG8", "RG"), ("RGB8", "RGB")])
@pytest.mark.parametrize("kind", KINDS)
def test_frames_of_every_pixel_format_are_of_8_bits_and_say_their_layout(
    kind: str, watch: Watch, pixel_format: str, layout: Layout
) -> None:
    options = {"pixel_format": pixel_format} if kind == "viva" else {}
    features = {"PixelFormat": pixel_format} if kind == "aravis" else {}
    with sole_use(), FactoryCamera(kind, **options) as camera:
        watcher = watch(camera.settings(features=features))
        wait_until(lambda: watcher.seen() >= 2)
        watcher.stop()
    pixels = watcher.frames[-1].pixels_u8
    assert pixels is not None
    assert (pixels.shape, pixels.dtype.name) == ((*SIZE, 3) if layout == "RGB" else SIZE, "uint8")
    assert watcher.frames[-1].layout == layout
    assert watcher.frames[-1].pixels_bgr_u8 is not None
    assert watcher.frames[-1].pixels_bgr_u8.shape == (SIZE if layout == "BGR" else (*SIZE, 3))
    assert pixels.max() > pixels.min()


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"ExposureTme": 5000}, "it has no feature `ExposureTme`: did you mean `ExposureTime"),
        ({"Xyz": 1}, "it has no feature `Xyz`: see its data sheet"),
        ({"Width": -1}, "it refuses `Width: -1` (Width: -1 is below the minimum"),
        ({"Height": "tall"}, "it refuses `Height: tall` (invalid value"),
        ({"PixelFormat": "Mono7"}, "it takes "),
        ({"DeviceModelName": "mine"}, "it refuses `DeviceModelName: mine`"),
        ({"AcquisitionStart": True}, "it has no value to set in `AcquisitionStart`, which is a command"),
    ],
)
def test_a_feature_that_the_camera_has_not_or_refuses_is_told_and_nothing_is_judged(
    factory_camera: FactoryCamera, watch: Watch, features: dict[str, Any], reason: str
) -> None:
    watcher = watch(factory_camera.settings(features=features))
    wait_until(lambda: watcher.camera.status().reconnects >= 1)
    assert reason in watcher.reason
    assert watcher.seen() == 0


def test_on_and_off_which_yaml_reads_as_booleans_are_set(factory_camera: FactoryCamera) -> None:
    import viva_genicam as vg

    (found,) = find_cameras(HOST)
    with vg.connect_gige(found.device, HOST) as camera:
        for word in ("On", "Off"):
            set_features(VivaNodes(camera), yaml.safe_load(f"TriggerMode: {word}"))
            assert camera.get("TriggerMode") == word


def test_a_camera_that_is_switched_off_is_told_of_and_found_again(factory_camera: FactoryCamera, watch: Watch) -> None:
    watcher = watch(factory_camera.settings(stale_after_s=1, timeout_s=0.5))
    wait_until(lambda: watcher.seen() >= 5)
    factory_camera.off()
    wait_until(lambda: watcher.state == CameraState.RECONNECTING and Reason.NO_FRAME in watcher.faults())
    wait_until(lambda: f"{HOST} does not answer; found: nothing" in watcher.reason)
    seen = watcher.seen()
    factory_camera.on()
    wait_until(lambda: watcher.state == CameraState.STREAMING and watcher.seen() >= seen + 5)
    assert set(watcher.faults()) == {Reason.NO_FRAME}


def test_a_camera_that_another_has_taken_is_told_and_not_judged(factory_camera: FactoryCamera, watch: Watch) -> None:
    import viva_genicam as vg

    (found,) = find_cameras(HOST)
    with vg.connect_gige(found.device, HOST):
        watcher = watch(factory_camera.settings())
        wait_until(lambda: watcher.camera.status().reconnects >= 1)
        assert "claim control" in watcher.reason
        assert watcher.seen() == 0
    wait_until(lambda: watcher.seen() >= 3)


def test_a_camera_that_is_taken_away_while_it_streams_is_connected_to_again(watch: Watch) -> None:
    with sole_use(), FactoryCamera("viva") as camera:
        watcher = watch(camera.settings())
        wait_until(lambda: watcher.seen() >= 5)
        camera.fake.revoke_control()
        wait_until(lambda: watcher.camera.status().reconnects >= 1)
        seen = watcher.seen()
        wait_until(lambda: watcher.seen() >= seen + 5)
        watcher.stop()


LOSING: dict[str, dict[str, Any]] = {
    "viva": {"drop_packets": [(block, 1) for block in range(20, 5000, 5)], "packet_resend": False},
    "aravis": {"arguments": ["-r", "30"]},
}


@pytest.mark.parametrize("kind", LOSING)
def test_a_frame_that_lost_packets_is_unreadable(kind: str, watch: Watch) -> None:
    with sole_use(), FactoryCamera(kind, **LOSING[kind]) as camera:
        watcher = watch(camera.settings())
        wait_until(lambda: watcher.seen() >= 10 and Reason.UNREADABLE in watcher.faults())
        watcher.stop()
        assert set(watcher.faults()) == {Reason.UNREADABLE}
        lost = [frame for frame in watcher.frames if frame.fault]
        assert all(frame.pixels_u8 is None for frame in lost)


def test_a_camera_on_usb_is_read_by_the_same_stream() -> None:
    testing = pytest.importorskip("viva_genicam.testing")
    camera = testing.FakeU3vCamera(SIZE[1], SIZE[0], "Mono8").connect()
    settings = GenicamSettings(kind="genicam", serial="U3V")
    stream = GenicamStream(camera, settings, FoundCamera("U3V", "U3V", None, None))
    times_s = []
    for _ in range(3):
        assert stream.grab()
        decoded, pixels = stream.retrieve()
        assert decoded
        assert pixels is not None
        assert (pixels.shape, stream.layout) == (SIZE, "BGR")
        times_s.append(stream.time_s)
    stream.release()
    assert 0 < times_s[0] < times_s[1] < times_s[2]


def test_a_camera_that_was_left_filming_is_stopped_before_it_is_set_up() -> None:
    fake = pytest.importorskip("viva_genicam.testing").FakeU3vCamera(SIZE[1], SIZE[0], "Mono8")
    camera = fake.connect()
    camera.acquisition_start()
    assert fake.acquiring()
    set_up(VivaNodes(camera), GenicamSettings(kind="genicam", serial="U3V"))
    assert not fake.acquiring()


def test_another_serial_is_not_taken_and_what_answers_is_named(factory_camera: FactoryCamera, watch: Watch) -> None:
    watcher = watch(factory_camera.settings(address=None, serial="4711"))
    wait_until(lambda: watcher.camera.status().reconnects >= 1)
    assert re.search(f"serial 4711 does not answer; found: .* serial {SERIALS[factory_camera.kind]}", watcher.reason)


@pytest.mark.parametrize("place", [{}, {"address": HOST, "serial": "1"}])
def test_a_camera_is_named_by_its_address_or_its_serial(place: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="`address` or its `serial`"):
        parse_settings({"kind": "genicam", **place}, GenicamSettings, "inspection.yaml")


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[genicam\]'"):
        open_camera("top", GenicamSettings(kind="genicam", serial="1"))


def test_cameras_lists_what_answers_as_lines_for_the_configuration(
    factory_camera: FactoryCamera, tmp_path: Any
) -> None:
    process = run_command("cameras", "--interface", HOST, folder=tmp_path)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    assert f"serial {SERIALS[factory_camera.kind]}, at {HOST}" in out
    (section,) = yaml.safe_load(out)["cameras"].values()
    settings = parse_settings(section, GenicamSettings, "inspection.yaml")
    assert (settings.serial, settings.interface) == (SERIALS[factory_camera.kind], HOST)


def test_cameras_says_so_where_none_answers(tmp_path: Any) -> None:
    with sole_use():
        process = run_command("cameras", "--interface", HOST, folder=tmp_path)
        _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == CameraError.exit_code
    assert err.startswith("error: no camera answers;")
