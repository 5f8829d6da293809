"""The echo: under MQTT 3.1.1, and of QoS 0, what a broker denies is thrown away without a word. So we hear ourselves.

What does not come back is told, and counts as delivered all the same: a station that may write a topic and not read it
is as common as one that may not write it, and nothing tells them apart.
"""

import logging
import time
from collections.abc import Sequence

from runtime.mqtt.connection import Connection
from runtime.mqtt.message import Message

log = logging.getLogger(__name__)
COMES_BACK_S = 10.0
"""What was acknowledged comes back well within this time, or never."""
NOT_HANDED_ON = (
    "it acknowledges what we send there and does not hand it to us: under MQTT 3.1.1 it may throw away what it denies; "
    "check that this user may write there, and let it read there, too, so that this can be seen; or set "
    "broker.protocol: 5"
)


class Echo:
    """What has come back on one connection. Belongs to the publisher's thread."""

    def __init__(self, connection: Connection, silence: str = NOT_HANDED_ON) -> None:
        """Subscribe over `connection`; `silence` says what it means where nothing comes back."""
        self._connection = connection
        self._silence = silence
        self._listening: dict[str, float] = {}
        """By topic: until when the first message is waited for; infinity where that is settled."""

    def listen(self, topic: str) -> None:
        """Listen to what we are about to send on `topic`, the first time."""
        if topic not in self._listening:
            self._listening[topic] = time.monotonic() + COMES_BACK_S
            self._connection.subscribe(topic, qos=0)

    def hear(self, received: Sequence[Message]) -> None:
        """Take what came in, and tell what did not."""
        now_s = time.monotonic()
        for message in received:
            if message.topic in self._listening and not message.retained:
                self._settle(message.topic)
        self._tell_silent(now_s)

    def end(self) -> None:
        """Tell what has not come back until now: nothing is listened to any longer."""
        self._tell_silent(float("inf"))

    def _tell_silent(self, now_s: float) -> None:
        for topic, until_s in self._listening.items():
            if until_s < now_s:
                log.warning("broker may throw away what we send topic=%s reason=%r", topic, self._silence)
                self._listening[topic] = float("inf")

    def _settle(self, topic: str) -> None:
        self._listening[topic] = float("inf")
        self._connection.unsubscribe(topic)
