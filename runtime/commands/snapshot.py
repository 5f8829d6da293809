"""Snapshots: a camera's next frame as the model saw it, as a JPEG on a topic of its own."""

import hashlib

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.commands.replies import Replies
from runtime.delivery.message import Message, Outgoing
from runtime.delivery.publisher import Publisher
from runtime.events.topics import Topics


class Snapshots:
    """Those that were asked for and not yet taken. Belongs to the thread that judges."""

    def __init__(self, publisher: Publisher, topics: Topics, replies: Replies) -> None:
        """Send pictures through `publisher`."""
        self._publisher = publisher
        self._topics = topics
        self._replies = replies
        self._asked: list[tuple[str, Message]] = []

    def ask(self, camera: str, message: Message) -> None:
        """Take the next frame of `camera`."""
        self._asked.append((camera, message))

    def watch(self, camera: str, pixels_bgr_u8: NDArray[np.uint8]) -> None:
        """Look at a judged part's row (H, W, 3)."""
        for asked in [each for each in self._asked if each[0] == camera]:
            self._asked.remove(asked)
            self._send(camera, pixels_bgr_u8, asked[1])

    def end(self) -> list[Message]:
        """Give those who wait in vain."""
        return [message for _camera, message in self._asked]

    def _send(self, camera: str, pixels_bgr_u8: NDArray[np.uint8], message: Message) -> None:
        jpeg = cv2.imencode(".jpg", pixels_bgr_u8)[1].tobytes()
        topic = self._topics.snapshot(camera)
        self._publisher.send(Outgoing(topic, jpeg, media_type="image/jpeg", correlation=message.correlation))
        digest = hashlib.sha256(jpeg).hexdigest()
        self._replies.done(message, {"camera": camera, "topic": topic, "bytes": len(jpeg), "sha256": digest})
