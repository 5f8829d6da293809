"""An agent that is at work, and what comes meanwhile: a newer order, a stop, another agent, a late answer."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from core.errors import ArtifactError, ConfigError
from fleet import agent, download, neighbour
from fleet.order import Order, Package, sealed
from runtime.bundles.bundle import load_bundle, read_manifest
from runtime.events.topics import Topics
from tests.fleet.conftest import Box, Key, new_box
from tests.fleet.https_server import HttpsServer
from tests.fleet.site import Site
from tests.full_disk import full_disk
from tests.processes import started
from tests.runtime.broker import Mosquitto
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S

PROGRAM = (sys.executable, "-c", "from fleet.cli import fleet; fleet()", "agent")
CAMERA: dict[str, Any] = {"kind": "folder", "path": "pictures"}


@pytest.fixture
def box(tmp_path: Path, broker: Mosquitto, server: HttpsServer, key: Key, request: pytest.FixtureRequest) -> Box:
    return new_box(tmp_path, f"at-work-{abs(hash(request.node.name))}", broker, server, key, CAMERA)


@pytest.fixture
def site(box: Box, broker: Mosquitto, key: Key) -> Iterator[Site]:
    running = Site(box, key, broker.port)
    _until_online(running.mes, box)
    yield running
    running.close()


@pytest.fixture
def slow(server: HttpsServer) -> Iterator[threading.Event]:
    """A server that sends a byte now and then, from `set` on none; it says that it was asked."""
    is_over, is_asked = threading.Event(), threading.Event()

    def trickle(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n.")
        is_asked.set()
        with suppress(OSError):
            while not is_over.wait(0.02):
                request.wfile.write(b".")

    server.odd = trickle
    yield is_asked
    server.odd = None
    is_over.set()


def _until_online(mes: Subscriber, box: Box) -> None:
    topic = Topics(box.station).bundle_agent
    mes.wait_for(lambda: b"online" in [each.payload for each in list(mes.messages) if each.topic == topic][-1:])


def _send(mes: Subscriber, box: Box, key: Key, package: Package | None, serial: int) -> None:
    order = Order(station=box.station, serial=serial, roll_out="r", package=package, previous=None)
    mes.send(Topics(box.station).bundle_desired, sealed(order, key.private))


def _left(box: Box) -> set[str]:
    return {each.name for each in box.link.parent.iterdir() if "fleet-" in each.name}


def test_a_newer_order_ends_a_fetch_and_is_followed(
    site: Site, slow: threading.Event, packed: Callable[..., Package], server: HttpsServer
) -> None:
    _send(site.mes, site.box, site.key, packed(131), serial=1)
    assert slow.wait(WAIT_S)
    site.serial = 1
    done = site.order(None)
    assert (done.state, done.serial, done.sha256) == ("installed", 2, None)
    assert not _left(site.box)
    assert not [each.error for each in site.reports() if each.error]
    server.odd = None
    assert site.order(packed(132)).error == ""


def test_an_order_that_is_none_of_ours_and_the_same_once_more_end_no_fetch(
    site: Site, packed: Callable[..., Package], server: HttpsServer
) -> None:
    package, is_there, goes_on = packed(133), threading.Event(), threading.Event()

    def slowly(request: BaseHTTPRequestHandler) -> None:
        content = server.files[package.sha256]
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content[:100])
        is_there.set()
        goes_on.wait(WAIT_S)
        request.wfile.write(content[100:])

    server.odd = slowly
    try:
        _send(site.mes, site.box, site.key, package, serial=5)
        assert is_there.wait(WAIT_S)
        _send(site.mes, site.box, site.key, package, serial=5)
        site.mes.send(Topics(site.box.station).bundle_desired, b"gibberish")
        goes_on.set()
        site.mes.wait_for(lambda: any(each.is_done and each.sha256 == package.sha256 for each in site.reports()))
    finally:
        server.odd = None


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_ends_the_wait_for_a_server_that_says_nothing_at_once(
    box: Box, broker: Mosquitto, key: Key, server: HttpsServer, how: signal.Signals, code: int
) -> None:
    is_asked, is_over = threading.Event(), threading.Event()

    def say_nothing(_request: BaseHTTPRequestHandler) -> None:
        is_asked.set()
        is_over.wait(WAIT_S)

    server.odd, mes = say_nothing, Subscriber(broker.port)
    try:
        with started([*PROGRAM, str(box.agent)]) as agent:
            _until_online(mes, box)
            _send(mes, box, key, Package(sha256="0" * 64, url=server.url("silent")), serial=1)
            assert is_asked.wait(WAIT_S)
            agent.send_signal(how)
            _out, err = agent.communicate(timeout=download.TIMEOUT_S / 2)
        assert (agent.returncode, "Traceback" in err) == (code, False)
        assert not _left(box)
        assert broker.retained(Topics(box.station).bundle_agent).payload == b"offline"
    finally:
        is_over.set()
        server.odd = None
        mes.close()


def test_of_two_agents_in_one_folder_the_second_is_refused_in_words(site: Site) -> None:
    ended = subprocess.run([*PROGRAM, str(site.box.agent)], capture_output=True, check=False, text=True, timeout=WAIT_S)
    assert ended.returncode == ConfigError.exit_code
    assert f"{site.box.link.parent}: another process is at work there" in ended.stderr
    assert site.order(None).error == ""


def test_half_a_bundle_that_was_left_is_brought_anew(site: Site, packed: Callable[..., Package]) -> None:
    package = packed(134)
    half = site.box.link.with_name(f"fleet-{package.sha256}")
    half.mkdir()
    (half / "bundle.json").write_text("{")
    assert site.order(package).error == ""
    load_bundle(site.box.link)


def test_on_a_full_disk_an_order_fails_in_words_and_is_carried_out_when_there_is_room(
    site: Site, packed: Callable[..., Package]
) -> None:
    """In real life there is no room for the packed bundle or what is in it, either."""
    package = packed(136)
    before = sorted(each.name for each in site.box.link.parent.iterdir() if each.name != ".fleet.json")
    with full_disk(700):
        failed = site.order(package)
    assert (failed.state, failed.sha256) == ("failed", None)
    assert re.search(r": the package cannot be kept \(File too large\); make room, order it again", failed.error)
    assert sorted(each.name for each in site.box.link.parent.iterdir() if each.name != ".fleet.json") == before
    assert site.order(package).error == ""


def test_an_order_whose_bundle_is_there_is_followed_as_soon_as_a_full_disk_has_room(
    site: Site, packed: Callable[..., Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback: there is no room for what was believed."""
    monkeypatch.setattr(agent, "AGAIN_S", 0.01)
    package = packed(137)
    assert site.order(package).error == ""
    with full_disk(10):
        failed = site.order(None)
    assert (failed.state, failed.sha256) == ("failed", package.sha256)
    assert ".fleet.json: File too large; mend that on the station: it is tried again each minute." in failed.error
    site.mes.wait_for(lambda: site.reports()[-1].serial == failed.serial and site.reports()[-1].is_done)
    assert (site.reports()[-1].sha256, site.box.link.resolve().name) == (None, "cell.bundle-1")
    assert [each.error for each in site.reports() if each.serial == failed.serial].count(failed.error) == 1


def test_an_order_that_is_tried_again_is_told_once_until_it_is_carried_out(
    site: Site, packed: Callable[..., Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "AGAIN_S", 0.01)
    package, tries = packed(139), list[int]()

    def full(*_: object) -> None:
        tries.append(1)
        if len(tries) < 4:
            raise OSError(28, "No space left on device", "kernels")

    monkeypatch.setattr(agent, "check", full)
    failed = site.order(package)
    assert failed.state == "failed"
    site.mes.wait_for(lambda: site.reports()[-1].is_done)
    states = [each.state for each in site.reports() if each.serial == failed.serial]
    assert states == ["fetching", "checking", "failed", "installed"]


def test_what_is_answered_late_to_an_older_order_is_nobodys(
    site: Site, packed: Callable[..., Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbour, "RELOAD_S", 0.1)
    topics, old = Topics(site.box.station), read_manifest(site.box.link)
    site.mes.send(topics.status, json.dumps({"state": "online"}).encode())
    site.mes.send(topics.model, json.dumps({"sha256": old.model_sha256, "thresholds_id": old.thresholds.id}).encode())
    site.mes.wait_for(lambda: topics.model in [each.topic for each in list(site.mes.messages)])
    package = packed(138)
    assert "has not answered `reload`" in site.order(package).error
    (asked,) = [json.loads(each.payload) for each in list(site.mes.messages) if each.topic == topics.command("reload")]

    def refuse(*_: object) -> None:
        raise ArtifactError("another verdict.")

    monkeypatch.setattr(agent, "check", refuse)
    failed = site.order(package)  # which is removed
    answer = {"request_id": asked["request_id"], "ok": True, "error": None}
    looked, has_taken = threading.Event(), neighbour.Neighbour.has_taken

    def look(beside: neighbour.Neighbour) -> bool:
        looked.set()
        return has_taken(beside)

    monkeypatch.setattr(neighbour.Neighbour, "has_taken", look)
    site.mes.send(topics.command_reply, json.dumps(answer).encode())
    site.mes.send(topics.status, json.dumps({"state": "online"}).encode())
    assert looked.wait(WAIT_S)
    assert "is older than" in site.order(package, serial=5).error, "and by then what was seen is done"
    assert (failed.error, {each.state for each in site.reports()[-2:]}) == ("another verdict.", {"failed"})
    assert site.box.link.resolve().name == "cell.bundle-1"


@pytest.mark.parametrize("takes", [True, False])
def test_a_reload_that_takes_longer_than_it_is_waited_for_is_told_in_the_end(
    site: Site, packed: Callable[..., Package], monkeypatch: pytest.MonkeyPatch, takes: bool
) -> None:
    monkeypatch.setattr(neighbour, "RELOAD_S", 0.1)
    topics, asked = Topics(site.box.station), list[dict[str, Any]]()
    old = read_manifest(site.box.link)
    site.mes.send(topics.status, json.dumps({"state": "online"}).encode())
    site.mes.send(topics.model, json.dumps({"sha256": old.model_sha256, "thresholds_id": old.thresholds.id}).encode())
    site.mes.wait_for(lambda: topics.model in [each.topic for each in list(site.mes.messages)])
    package = packed(135)
    late = site.order(package)
    assert (late.state, late.sha256) == ("failed", None)
    assert "has not answered `reload`" in late.error
    asked += [json.loads(each.payload) for each in list(site.mes.messages) if each.topic == topics.command("reload")]
    answer = {"request_id": asked[-1]["request_id"], "ok": takes, "error": None if takes else "too large"}
    site.mes.send(topics.command_reply, json.dumps(answer).encode())
    site.mes.wait_for(lambda: site.reports()[-1] != late)
    told = site.reports()[-1]
    assert told.serial == late.serial
    if takes:
        assert (told.state, told.sha256, told.error) == ("running", package.sha256, "")
        assert site.box.link.resolve().name == f"fleet-{package.sha256}"
    else:
        assert (told.state, told.sha256, told.error) == ("failed", None, "the inspection refuses it: too large")
        assert site.box.link.resolve().name == "cell.bundle-1"
