"""An MES: a real MQTT client that keeps all it is sent."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.runtime.waiting import WAIT_S


class Subscriber:
    """An MES: subscribes with a session that outlives its connection, keeps all it gets, and can be waited on."""

    def __init__(self, port: int, topic: str = "#") -> None:
        self.port = port
        self.messages: list[paho.MQTTMessage] = []
        self.acknowledged: set[int] = set()
        """What the broker has taken of what was sent, by the number that `send` gave."""
        self._changed = threading.Condition()
        subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, f"mes-{port}", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = self._on_message
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_publish = lambda _client, _userdata, number, *_: self.acknowledged.add(number)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(WAIT_S)

    def _on_message(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def wait_for(self, reached: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(reached, WAIT_S), f"{len(self.messages)} messages, still waiting"

    def wait_for_events(self, least: int) -> None:
        self.wait_for(lambda: len(self.events()) >= least)

    def send(self, topic: str, payload: bytes) -> int:
        """Publish with QoS 1, and give the message's number. Until it is acknowledged it may be sent twice."""
        return self._client.publish(topic, payload, qos=1).mid

    def send_until(self, topic: str, payload: bytes, reached: Callable[[], bool]) -> None:
        """Publish again and again until it was heard: a subscription is not in force the moment we connect."""
        until_s = time.monotonic() + WAIT_S
        while not reached():
            assert time.monotonic() < until_s, "it was never heard"
            self.send(topic, payload)
            time.sleep(0.05)

    def events(self, leaf: str = "result") -> list[dict[str, Any]]:
        return [json.loads(message.payload) for message in list(self.messages) if message.topic.endswith(leaf)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
