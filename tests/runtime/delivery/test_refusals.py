"""Brokers as they are: what they refuse is set aside and told, what they lack is done without, and the rest goes on."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from core.errors import BrokerError
from runtime.delivery import check
from runtime.delivery.check import check_broker
from runtime.delivery.link import LinkState
from runtime.delivery.publisher import Publisher
from runtime.mqtt import echo, refusals
from runtime.mqtt.connector import Connector
from runtime.mqtt.message import Outgoing
from runtime.mqtt.settings import BrokerSettings
from runtime.mqtt.terms import Terms, milder
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import NewEvent
from runtime.parts.verdict import Verdict
from tests.runtime.broker import Mosquitto
from tests.runtime.delivery.conftest import STATUS
from tests.runtime.delivery.test_publisher import add, seqs
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S, wait_until

PROTOCOLS = pytest.mark.parametrize("protocol", [5, "3.1.1"])


@pytest.fixture
def hear() -> Iterator[Callable[[int], Subscriber]]:
    """An MES that connects when asked: a restarted mosquitto gives nothing to a known client until it is back."""
    started: list[Subscriber] = []

    def start(port: int) -> Subscriber:
        started.append(Subscriber(port))
        return started[-1]

    yield start
    for mes in started:
        mes.close()


def restart(mosquitto: Mosquitto, extra: str = "", acl: str = "") -> None:
    mosquitto.stop()
    if acl:
        (mosquitto.folder / "acl").write_text(acl)
        extra += f"acl_file {mosquitto.folder}/acl\n"
    # With 0, as elsewhere in the tests, this broker closes the connection at all that it denies.
    mosquitto.extra = f"allow_anonymous true\n{extra}" + ("" if "queued" in extra else "max_queued_messages 1000\n")
    mosquitto.start()


def settled(publisher: Publisher) -> None:
    assert publisher.wait_idle(WAIT_S)


def test_a_denied_topic_is_told_and_the_rest_goes_on(
    mosquitto: Mosquitto, hear: Callable[[int], Subscriber], outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    restart(mosquitto, acl="topic read #\ntopic write plant/#\ntopic write mes/#\n")
    mes = hear(mosquitto.port)
    body = b'{"seq":%d}'
    outbox.add([NewEvent("old/result", "a", Verdict.NOT_OK, body % seq) for seq in range(3)])
    add(outbox, 10, 5)
    publisher = publish(mosquitto.port)
    mes.wait_for(lambda: len(mes.events()) == 5)
    wait_until(lambda: "old/result" in publisher.refused)
    add(outbox, 15, 5)
    publisher.notify()
    mes.wait_for(lambda: len(mes.events()) == 10)
    settled(publisher)
    assert seqs(mes) == list(range(10, 20))
    assert (outbox.depth, publisher.delivered.count, publisher.link.state) == (3, 10, LinkState.CONNECTED)
    assert "access list" in publisher.refused["old/result"]


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("acl", ["topic read #", "topic readwrite #"])
def test_a_broker_that_may_throw_away_what_it_acknowledges_is_told_of(
    mosquitto: Mosquitto,
    outbox: Outbox,
    publish: Callable[..., Publisher],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    acl: str,
    at_end: bool,
) -> None:
    is_told = acl == "topic read #"
    monkeypatch.setattr(echo, "COMES_BACK_S", 1.0 if is_told and not at_end else WAIT_S)
    restart(mosquitto, acl=f"{acl}\ntopic write plant/status\n")
    add(outbox, 0, 5)
    publisher = publish(mosquitto.port, protocol="3.1.1")
    settled(publisher)
    if at_end:
        publisher.stop("test", WAIT_S)
    if is_told:
        wait_until(lambda: "topic=plant/result" in caplog.text)
        assert "broker.protocol: 5" in caplog.text
    assert ("may throw away" in caplog.text) == is_told
    assert (outbox.depth, publisher.delivered.count) == (0, 5)


def test_what_was_refused_goes_out_when_the_access_list_is_mended(
    mosquitto: Mosquitto,
    hear: Callable[[int], Subscriber],
    outbox: Outbox,
    publish: Callable[..., Publisher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refusals, "RETRY_AFTER_S", 0.2)
    restart(mosquitto, acl="topic read #\ntopic write plant/status\n")
    mes = hear(mosquitto.port)
    add(outbox, 0, 50)
    publisher = publish(mosquitto.port)
    publisher.retain("plant/model", b"{}")
    wait_until(lambda: publisher.refused.keys() == {"plant/result", "plant/model"})
    (mosquitto.folder / "acl").write_text("topic readwrite #\n")
    assert mosquitto.process is not None
    mosquitto.process.send_signal(signal.SIGHUP)
    mes.wait_for(lambda: len(set(seqs(mes))) == 50 and bool(mes.events("model")))
    wait_until(lambda: not publisher.refused)
    settled(publisher)
    assert (outbox.depth, publisher.link.was_connected) == (0, True)


def test_denied_replies_and_retained_topics_cost_nothing_but_themselves(
    mosquitto: Mosquitto, hear: Callable[[int], Subscriber], outbox: Outbox, publish: Callable[..., Publisher]
) -> None:
    restart(mosquitto, acl="topic read #\ntopic write plant/status\ntopic write plant/result\n")
    mes = hear(mosquitto.port)
    publisher = publish(mosquitto.port)
    wait_until(lambda: publisher.link.state == LinkState.CONNECTED)
    publisher.retain("plant/model", b"{}")
    publisher.send(Outgoing("mes/answer", b"{}"))
    add(outbox, 0, 20)
    publisher.notify()
    mes.wait_for(lambda: len(mes.events()) == 20)
    settled(publisher)
    assert (outbox.depth, list(publisher.refused), publisher.link.state) == (0, ["plant/model"], LinkState.CONNECTED)


def test_events_too_large_for_the_broker_stay_and_smaller_ones_go(
    mosquitto: Mosquitto,
    hear: Callable[[int], Subscriber],
    outbox: Outbox,
    publish: Callable[..., Publisher],
) -> None:
    restart(mosquitto, "max_packet_size 600\n")
    mes = hear(mosquitto.port)
    large = b'{"seq":%d,"much":"' + b"x" * 700 + b'"}'
    outbox.add([NewEvent("plant/other", "b", Verdict.NOT_OK, large % seq) for seq in range(2)])
    add(outbox, 0, 5)
    publisher = publish(mosquitto.port)
    mes.wait_for(lambda: len(mes.events()) == 5)
    wait_until(lambda: "plant/other" in publisher.refused)
    settled(publisher)
    assert outbox.depth == 2
    assert "no more than 600 bytes" in publisher.refused["plant/other"]


@PROTOCOLS
def test_a_broker_without_retained_messages_is_done_with_and_told(
    mosquitto: Mosquitto,
    hear: Callable[[int], Subscriber],
    outbox: Outbox,
    publish: Callable[..., Publisher],
    protocol: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    restart(mosquitto, "retain_available false\n")
    mes = hear(mosquitto.port)
    add(outbox, 0, 5)
    publisher = publish(mosquitto.port, protocol=protocol)
    publisher.retain("plant/model", b"{}")
    mes.wait_for(lambda: len(mes.events()) == 5 and bool(mes.events("model")))
    settled(publisher)
    assert "retain_available true" in caplog.text


@PROTOCOLS
def test_a_broker_that_acknowledges_nothing_is_refused_with_the_remedy(
    mosquitto: Mosquitto, outbox: Outbox, publish: Callable[..., Publisher], protocol: object
) -> None:
    restart(mosquitto, "max_qos 0\n")
    publisher = publish(mosquitto.port, protocol=protocol)
    wait_until(lambda: publisher.link.state == LinkState.REFUSED)
    assert "max_qos" in publisher.link.reason


def test_a_status_topic_that_is_denied_does_not_keep_the_events(
    mosquitto: Mosquitto,
    hear: Callable[[int], Subscriber],
    outbox: Outbox,
    publish: Callable[..., Publisher],
    caplog: pytest.LogCaptureFixture,
) -> None:
    restart(mosquitto, acl="topic read #\ntopic write plant/result\n")
    mes = hear(mosquitto.port)
    add(outbox, 0, 5)
    publisher = publish(mosquitto.port)
    mes.wait_for(lambda: len(mes.events()) == 5)
    settled(publisher)
    assert STATUS in publisher.refused


@contextmanager
def answering(*connacks: bytes) -> Iterator[tuple[int, list[int]]]:
    """A broker that answers logins with these, one after the other, and acknowledges what it is sent then."""
    tried: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for connack in connacks:
                try:
                    client, _address = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(4096)
                    tried.append(1)
                    client.sendall(connack)
                    if connack[3] == 0:
                        while data := client.recv(65536):
                            for start in range(len(data)):  # good enough: one packet a read
                                if data[start] >> 4 == 3 and start == 0:
                                    length = int.from_bytes(data[start + 2 : start + 4]) if data[1] < 128 else 0
                                    client.sendall(bytes([0x40, 2]) + data[start + 4 + length : start + 6 + length])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], tried
        server.shutdown(socket.SHUT_RDWR)
        thread.join(WAIT_S)


@pytest.mark.parametrize("reason", [0x88, 0x89, 0x97, 0x9F])
def test_a_busy_broker_is_tried_again(outbox: Outbox, publish: Callable[..., Publisher], reason: int) -> None:
    busy, welcome = bytes([0x20, 3, 0, reason, 0]), bytes([0x20, 3, 0, 0, 0])
    with answering(busy, busy, welcome) as (port, tried):
        publisher = publish(port)
        wait_until(lambda: publisher.link.state == LinkState.CONNECTED)
        publisher.stop("test", 0.0)
    assert len(tried) == 3


def test_a_login_that_is_refused_says_what_to_check(outbox: Outbox, publish: Callable[..., Publisher]) -> None:
    refused = bytes([0x20, 3, 0, 0x86, 0])
    with answering(*[refused] * 50) as (port, _tried):
        publisher = publish(port)
        wait_until(lambda: publisher.link.state == LinkState.REFUSED)
        publisher.stop("test", 0.0)
    assert "broker.username" in publisher.link.reason


def test_terms_only_grow_milder_and_end() -> None:
    for reason in (None, 0x87, 0x9A, 0x9B, 0x86):
        terms, steps = Terms(), 0
        while (another := milder(terms, reason, "plant/status")) is not None:
            terms, steps = another, steps + 1
            assert steps < 4


@PROTOCOLS
def test_the_doctor_sends_itself_a_message(
    mosquitto: Mosquitto, protocol: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = BrokerSettings.model_validate({"host": "127.0.0.1", "port": mosquitto.port, "protocol": protocol})
    assert "delivers what we send" in check_broker(settings, "station", "plant/doctor")
    if protocol == "3.1.1":  # which tells nothing: all of it is waited for
        monkeypatch.setattr(check, "COMES_BACK_S", 0.5)
    restart(mosquitto, acl="topic read #\ntopic write plant/status\n")
    with pytest.raises(BrokerError, match="plant/doctor"):
        check_broker(settings, "station", "plant/doctor")
    restart(mosquitto, "message_size_limit 1000\n")
    with pytest.raises(BrokerError, match=r"plant/doctor"):
        check_broker(settings, "station", "plant/doctor")
    restart(mosquitto, "retain_available false\n")
    assert "retain_available true" in check_broker(settings, "station", "plant/doctor")
    restart(mosquitto, "max_qos 0\n")
    with pytest.raises(BrokerError, match="max_qos"):
        check_broker(settings, "station", "plant/doctor")


def test_a_packet_limit_is_named_before_anything_is_sent(mosquitto: Mosquitto) -> None:
    restart(mosquitto, "max_packet_size 1000\n")
    settings = BrokerSettings(host="127.0.0.1", port=mosquitto.port)
    with pytest.raises(BrokerError, match="no more than 1000 bytes"):
        check_broker(settings, "station", "plant")
    connection = Connector(settings, "s").open()
    assert connection.objection(Outgoing("a", b"x" * 500)) is None
    assert connection.objection(Outgoing("a", b"x" * 1000)) is not None
    connection.close()
