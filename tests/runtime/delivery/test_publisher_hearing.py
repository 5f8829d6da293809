"""What others send to us, heard by the publisher from a real mosquitto."""

import signal
import subprocess
from collections.abc import Callable

import pytest

from runtime.delivery.link import LinkState
from runtime.delivery.publisher import Publisher
from runtime.mqtt.connector import Connector
from runtime.mqtt.message import Message
from runtime.mqtt.settings import BrokerSettings
from runtime.outbox.outbox import Outbox
from tests.runtime.broker import Mosquitto
from tests.runtime.delivery.conftest import STATUS
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S, wait_until


@pytest.mark.parametrize("protocol", [5, "3.1.1"])
def test_messages_reach_their_handler_also_after_a_broker_restart(
    mosquitto: Mosquitto, outbox: Outbox, protocol: object
) -> None:
    heard: list[Message] = []
    broker = BrokerSettings.model_validate({"host": "127.0.0.1", "port": mosquitto.port, "protocol": protocol})
    publisher = Publisher(Connector(broker, "station"), outbox, STATUS, {"boot_id": "b"})
    publisher.subscribe("plant/trigger/+", heard.append)
    publisher.subscribe("plant/cmd/pause", lambda _message: pytest.fail("not asked for"))
    publisher.start()
    wait_until(lambda: publisher.link.state == LinkState.CONNECTED)
    sender = Subscriber(mosquitto.port, "none")
    sender.send_until("plant/trigger/top", b"1", lambda: bool(heard))
    mosquitto.stop(signal.SIGKILL)
    wait_until(lambda: publisher.link.state == LinkState.UNREACHABLE)
    heard.clear()
    mosquitto.start()
    wait_until(lambda: publisher.link.state == LinkState.CONNECTED)
    sender.send_until("plant/trigger/left", b"2", lambda: bool(heard))
    sender.close()
    publisher.stop("test", 0.0)
    assert publisher.fault is None
    assert (heard[0].topic, heard[0].payload, heard[0].retained) == ("plant/trigger/left", b"2", False)


def test_a_message_of_version_5_says_where_the_answer_goes(mosquitto: Mosquitto, outbox: Outbox) -> None:
    heard: list[Message] = []
    broker = BrokerSettings(host="127.0.0.1", port=mosquitto.port)
    publisher = Publisher(Connector(broker, "station"), outbox, STATUS, {"boot_id": "b"})
    publisher.subscribe("plant/cmd/#", heard.append)
    command = ["mosquitto_pub", "-p", str(mosquitto.port), "-V", "5", "-q", "1", "-r"]
    command += ["-t", "plant/cmd/pause", "-m", "{}"]
    answer = ["-D", "publish", "response-topic", "mes/answer", "-D", "publish", "correlation-data", "17"]
    subprocess.run([*command, *answer], check=True)
    publisher.start()
    wait_until(lambda: bool(heard))
    subprocess.run([*command, *answer], check=True)  # it comes at once, and still says that it was sent to be retained
    wait_until(lambda: len(heard) == 2)
    publisher.stop("test", 0.0)
    assert heard == [Message("plant/cmd/pause", b"{}", True, "mes/answer", b"17")] * 2


def test_a_broker_that_does_not_let_us_read_our_own_status_is_told(
    mosquitto: Mosquitto, outbox: Outbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("runtime.mqtt.backlog.THROUGH_S", 0.5)
    mosquitto.stop()
    (mosquitto.folder / "acl").write_text("topic write plant/#\ntopic read plant/trigger/#\n")
    mosquitto.extra += f"acl_file {mosquitto.folder}/acl\n"
    mosquitto.start()

    def run(is_done: Callable[[Publisher], bool]) -> None:
        broker = BrokerSettings(host="127.0.0.1", port=mosquitto.port)
        publisher = Publisher(Connector(broker, "station"), outbox, STATUS, {"boot_id": "b"})
        publisher.subscribe_lasting("plant/trigger/top", lambda _messages: None)
        publisher.start()
        wait_until(lambda: publisher.link.state == LinkState.CONNECTED and is_done(publisher))
        publisher.stop("test", 0.0)

    run(lambda first: first.wait_idle(WAIT_S))
    run(lambda _resumed: f"limits the subscription topic={STATUS}" in caplog.text)
    assert caplog.text.count("what we say there does not come back to us") == 1


def test_what_a_broker_kept_of_qos_0_says_that_it_was_kept(mosquitto: Mosquitto, outbox: Outbox) -> None:
    mosquitto.stop()
    mosquitto.extra += "queue_qos0_messages true\n"
    mosquitto.start()
    heard: list[Message] = []

    def start() -> Publisher:
        broker = BrokerSettings(host="127.0.0.1", port=mosquitto.port)
        publisher = Publisher(Connector(broker, "station"), outbox, STATUS, {"boot_id": "b"})
        publisher.subscribe("plant/cmd/+", heard.append)
        publisher.subscribe_lasting("plant/trigger/top", lambda _messages: None)
        publisher.start()
        return publisher

    sender = Subscriber(mosquitto.port, "none")
    first = start()
    sender.send_until("plant/cmd/pause", b"before", lambda: bool(heard))
    first.stop("test", 0.0)
    kept = sender.send("plant/cmd/pause", b"meanwhile")
    wait_until(lambda: kept in sender.acknowledged)
    second = start()
    wait_until(lambda: heard[-1].payload == b"meanwhile" and second.wait_idle(WAIT_S))
    sender.send_until("plant/cmd/pause", b"after", lambda: heard[-1].payload == b"after")
    second.stop("test", 0.0)
    sender.close()
    told = {each.payload: each.was_kept for each in heard}
    assert told == {b"before": False, b"meanwhile": True, b"after": False}
