"""The embedded broker."""

import socket
import struct

import pytest

from core.errors import BrokerError
from runtime.mqtt.connector import Connector
from runtime.mqtt.embedded_broker import EmbeddedBroker
from runtime.mqtt.message import Outgoing
from runtime.mqtt.settings import BrokerSettings
from tests.runtime.broker import free_port
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S


def test_a_subscriber_gets_all_that_was_taken_before_the_broker_ends() -> None:
    port = free_port()
    with EmbeddedBroker(port):
        mes = Subscriber(port, "p/result")
        connection = Connector(BrokerSettings(port=port), "station").open()
        waiting = set[int]()
        for number in range(300):
            while connection.room == 0:
                waiting -= set(connection.poll(5.0, None))
            waiting.add(connection.publish(Outgoing("p/result", b"%d" % number)))
        while waiting:
            waiting -= set(connection.poll(5.0, None))
        connection.close()
    mes.wait_for(lambda: len(mes.messages) >= 300)
    mes.close()
    assert [int(message.payload) for message in mes.messages] == list(range(300))


def test_strangers_that_speak_no_mqtt_and_hang_up_are_no_tracebacks_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    with EmbeddedBroker(port):
        for said in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x10\x0c\0\4MQTT\5\2\0\x3c\0\0",
            b"\x10\x0c\0\4MQTT\4\2\0\x3c\0\0",
        ) * 10:
            with socket.create_connection(("127.0.0.1", port), WAIT_S) as stranger:
                stranger.sendall(said * 2)
                stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST
        Connector(BrokerSettings(port=port), "station").open().close()
    assert "Traceback" not in caplog.text


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=r"set `broker\.host`"), EmbeddedBroker(port):
            pass
