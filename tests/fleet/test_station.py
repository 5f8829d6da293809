"""The stations at brokers that are away or odd: told in words, never waited for without end."""

import logging
import re
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from core.config import load_settings
from core.errors import BrokerError, RollOutError
from fleet.agent import Agent
from fleet.order import Order, sealed, signed_by
from fleet.roll_out import RollOut
from fleet.settings import AgentSettings, FleetSettings
from fleet.station import Stations
from runtime.following import filters
from runtime.following.follower import Follower
from runtime.mqtt.message import Outgoing
from runtime.mqtt.settings import BrokerSettings
from tests.fleet.conftest import Key, new_box, new_key
from tests.fleet.https_server import HttpsServer
from tests.processes import started
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.odd_broker import CONNECT, PUBLISH, SUBSCRIBE, Answer, good, number_of, odd_broker, packet
from tests.runtime.waiting import WAIT_S, wait_until

NAME = "pwae/site/area/line/press-1"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection is tried again at once."""
    monkeypatch.setattr("runtime.threads.backoff.backoff_s", lambda *_: 0.01)


def settings(port: int, **changed: float) -> FleetSettings:
    broker = BrokerSettings(host="127.0.0.1", port=port, connect_timeout_s=WAIT_S)
    return FleetSettings.model_validate({"broker": broker, **changed})


def told(leaf: str, payload: bytes) -> bytes:
    """A retained message of the station, of any length."""
    topic = f"{NAME}/{leaf}".encode()
    body = len(topic).to_bytes(2) + topic + b"\0" + payload
    return bytes([0x31, len(body) & 127 | 128, len(body) >> 7]) + body


def after_subscriptions(messages: bytes, otherwise: Answer = lambda _first, _body: None) -> Answer:
    """Give `messages` behind the answer to the subscription to `status`."""

    def answer(first: int, body: bytes) -> bytes | None:
        is_first = first >> 4 == SUBSCRIBE and b"+/status" in body
        return good(first, body) + messages if is_first else otherwise(first, body)

    return answer


def test_a_refused_subscription_is_no_fleet_without_stations() -> None:
    def deny(first: int, body: bytes) -> bytes | None:
        return packet(0x90, body[:2] + b"\0\x87") if first >> 4 == SUBSCRIBE else None

    with odd_broker(deny) as broker:
        stations = Stations(settings(broker.port), "page")
        with stations.follower:
            with pytest.raises(BrokerError, match=r"nothing from pwae/.*Not authorized.*access list"):
                stations.read()
            wait_until(lambda: broker.count(SUBSCRIBE) == 6)


def test_a_subscription_that_was_refused_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "RETRY_AFTER_S", 0.1)
    denied: list[bytes] = []

    def deny_once(first: int, body: bytes) -> bytes | None:
        if first >> 4 != SUBSCRIBE or denied:
            return None
        denied.append(body)
        return packet(0x90, body[:2] + b"\0\x87")

    with odd_broker(deny_once) as broker:
        stations = Stations(settings(broker.port), "page")
        with stations.follower:
            wait_until(lambda: broker.count(SUBSCRIBE) == 7 and _is_heard(stations))
        assert broker.count(CONNECT) == 1


def _is_heard(stations: Stations) -> bool:
    try:
        stations.follower.require()
    except BrokerError:
        return False
    return True


@pytest.mark.timeout(20)
def test_a_subscription_that_is_never_answered_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "ANSWERS_S", 0.1)
    with odd_broker(lambda first, _body: b"" if first >> 4 == SUBSCRIBE else None) as broker:
        stations = Stations(settings(broker.port), "page")
        with stations.follower, pytest.raises(BrokerError, match=r"nothing from pwae/.*has not answered"):
            stations.read()


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(100), "no MQTT; check broker.host"),
        (packet(0x20, b"\0\x9d\x0f\x1c\0\x0cbroker2:1883"), r"broker2:1883.*set broker.host"),
        (packet(0x20, b"\0\x8a\0"), "Banned; check broker.username"),
        (packet(0x20, b"\0\0\0") + bytes(range(256)), "no MQTT"),
        (packet(0x20, b"\0\0\0") + packet(0xE0, b"\x98\0"), "Administrative action"),
        (b"", "it does not answer"),
    ],
)
def test_what_is_no_broker_or_refuses_the_login_is_told_in_words(said: bytes, words: str) -> None:
    with odd_broker(lambda first, _body: said if first >> 4 == CONNECT else None) as broker:
        short = BrokerSettings(host="127.0.0.1", port=broker.port, connect_timeout_s=0.5)
        stations = Stations(FleetSettings(broker=short), "page")
        with stations.follower:
            wait_until(lambda: re.search(words, stations.follower.trouble) is not None)
            with pytest.raises(BrokerError, match=words):
                stations.read()


def test_a_page_that_is_written_again_and_again_outlives_its_broker_and_its_folder(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    broker = {"host": "127.0.0.1", "port": mosquitto.port, "connect_timeout_s": 0.5}
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump({"broker": broker}))
    arguments = ["page", "fleet.yaml", "--every", "1", "--output", "www/fleet.html"]
    command = [sys.executable, "-c", "from fleet.cli import fleet; fleet()", *arguments]
    page = tmp_path / "www" / "fleet.html"
    page.parent.mkdir()
    with started(command, tmp_path) as process:
        wait_until(page.exists)
        assert process.stderr is not None
        shutil.rmtree(page.parent)
        found = next((line for line in process.stderr if "stays as it was" in line), "it ended")
        assert "www/fleet.html stays as it was: [Errno 2] No such file or directory: 'www/fleet.html'" in found
        page.parent.mkdir()
        wait_until(page.exists)
        mosquitto.stop()
        found = next((line for line in process.stderr if "broker 127.0.0.1" in line), "it ended")
        assert "fleet.html stays as it was: broker" in found
        page.unlink()
        mosquitto.start()
        wait_until(page.exists)


def test_a_station_whose_topics_are_cleared_is_none_any_more(mosquitto: Mosquitto) -> None:
    leaves = {
        "status": b'{"state": "online"}',
        "model": b'{"name": "cell"}',
        "camera/top/counters": b'{"ok": 1}',
        "bundle/agent": b"online",
        "bundle/reported": b"{}",
        "bundle/desired": b"{}",
    }
    stations = Stations(settings(mosquitto.port), "page")
    with stations.follower, Follower(settings(mosquitto.port).broker, "operator", {}) as line:
        for leaf, payload in leaves.items():
            assert line.publish(Outgoing(f"{NAME}/{leaf}", payload, retain=True)).wait(WAIT_S)
        assert list(stations.read()) == [NAME]
        for leaf in leaves:
            assert line.publish(Outgoing(f"{NAME}/{leaf}", b"", retain=True)).wait(WAIT_S)
        wait_until(lambda: not stations.read())


def test_what_the_broker_has_lost_in_an_outage_is_known_no_more(mosquitto: Mosquitto) -> None:
    """A station that died meanwhile would stay online for ever: its last word is gone with the broker's memory."""
    stations = Stations(settings(mosquitto.port), "page")
    with stations.follower, Follower(settings(mosquitto.port).broker, "operator", {}) as line:
        for name in (NAME, f"{NAME}-gone"):
            for leaf in ("status", "model"):
                assert line.publish(Outgoing(f"{name}/{leaf}", b'{"state": "online"}', retain=True)).wait(WAIT_S)
        assert list(stations.read()) == [NAME, f"{NAME}-gone"]
        mosquitto.stop()
        mosquitto.forget()
        mosquitto.start()
        assert line.publish(Outgoing(f"{NAME}/status", b'{"state": "online"}', retain=True)).wait(WAIT_S)
        wait_until(lambda: list(stations.read()) == [NAME])
        assert (stations.found[NAME].is_online, stations.found[NAME].model) == (True, {})


def test_a_connection_that_is_lost_among_what_is_retained_gives_no_half_of_a_fleet() -> None:
    cut: list[bool] = []

    def answer(first: int, body: bytes) -> bytes | None:
        if first >> 4 == SUBSCRIBE and b"desired" in body and not cut:
            cut.append(True)
            return packet(0xE0, b"\x8b\0")
        return good(first, body) + told("status", b'{"state":"online"}') if b"+/status" in body and cut else None

    with odd_broker(answer) as broker:
        stations = Stations(settings(broker.port), "page")
        with stations.follower:
            assert list(stations.read()) == [NAME]
        assert broker.count(CONNECT) == 2


def test_an_agent_whose_broker_is_away_says_so_and_ends_cleanly(
    tmp_path: Path, server: HttpsServer, key: Key, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    away = Mosquitto(tmp_path, port=free_port())
    box = new_box(tmp_path, "press-1", away, server, key, {"kind": "folder", "path": "pictures"})
    stop = threading.Event()
    agent = threading.Thread(target=Agent(load_settings(box.agent, AgentSettings)).run, args=(stop,))
    agent.start()
    wait_until(lambda: "Connection refused" in caplog.text)
    stop.set()
    agent.join(WAIT_S)
    assert caplog.text.count("broker unreachable: Connection refused") == 1


def an_order(key: Key, serial: int, roll_out: str) -> bytes:
    order = Order(station=NAME, serial=serial, roll_out=roll_out, package=None, previous=None)
    return sealed(order, key.private)


def test_an_order_that_the_broker_does_not_take_stops_the_roll_out_with_its_topic(key: Key) -> None:
    def deny(first: int, body: bytes) -> bytes | None:
        return packet(0x40, number_of(body) + b"\x87\0") if first >> 4 == PUBLISH else None

    with odd_broker(after_subscriptions(told("bundle/desired", an_order(key, 1, "r")), deny)) as broker:
        asked = settings(broker.port)
        stations = Stations(asked, "operator", signed_by(key.private))
        with stations.follower, pytest.raises(RollOutError, match=rf"{NAME}/bundle/desired .Not authorized.*access"):
            RollOut(asked, stations, key.private, lambda _told: None).back()


def test_orders_that_are_never_acknowledged_stop_the_roll_out_in_time(key: Key) -> None:
    with odd_broker(
        after_subscriptions(
            told("bundle/desired", an_order(key, 1, "r")), lambda first, _body: b"" if first >> 4 == PUBLISH else None
        )
    ) as broker:
        asked = settings(broker.port, report_within_s=0.3)
        stations = Stations(asked, "operator", signed_by(key.private))
        began_s = time.monotonic()
        with stations.follower, pytest.raises(RollOutError, match="not taken all orders .it does not acknowledge"):
            RollOut(asked, stations, key.private, lambda _told: None).back()
        assert time.monotonic() - began_s < WAIT_S


def test_while_an_order_that_came_again_is_checked_the_one_before_is_known(key: Key) -> None:
    """Else a roll-out would sign then that there was none before."""
    known: list[bool] = []

    def is_ours(signature: bytes, content: bytes) -> bool:
        known.append(bool(stations.found) and stations.found[NAME].order is not None)
        return signed_by(key.private)(signature, content)

    twice = told("bundle/desired", an_order(key, 1, "r")) * 2
    with odd_broker(after_subscriptions(twice)) as broker:
        stations = Stations(settings(broker.port), "operator", is_ours)
        with stations.follower:
            stations.read()
    assert known == [False, True]


def test_an_order_of_somebody_else_counts_for_none_of_ours(key: Key, tmp_path: Path) -> None:
    """Else a rollback would sign what a stranger on the broker says was there before."""
    forged = told("bundle/desired", an_order(new_key(tmp_path, "stranger"), 9_999, "r"))
    with odd_broker(after_subscriptions(forged)) as broker:
        stations = Stations(settings(broker.port), "operator", signed_by(key.private))
        with stations.follower:
            (found,) = stations.read().values()
        assert (found.order, found.is_order_strange) == (None, True)
        looking = Stations(settings(broker.port), "page")
        with looking.follower:
            (seen,) = looking.read().values()
        assert seen.order is not None
        assert broker.count(PUBLISH) == 0
