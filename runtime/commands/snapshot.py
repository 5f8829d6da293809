"""Snapshots: what is judged next of a camera, at the camera's own size, as a JPEG on a topic of its own."""

import hashlib
from collections.abc import Sequence

from core.errors import ConfigError
from runtime.commands.replies import Replies
from runtime.delivery.publisher import Publisher
from runtime.events.topics import Topics
from runtime.evidence.overlay import jpeg
from runtime.mqtt.message import Message, Outgoing
from runtime.parts.part import Part
from runtime.threads.worker import Worker

FINISH_S = 0.3
"""How long one that is being encoded is waited for at the end."""
MOST_ASKED = 100
"""A camera that gives nothing for a night must not leave a picture to be sent for each second of it."""


class _Taken:
    def __init__(self, part: Part, messages: Sequence[Message]) -> None:
        self.camera = part.camera
        self.messages = messages
        self.jpeg = b""
        self.encoding = Worker("snapshot", self._encode)
        self._part = part

    def _encode(self) -> None:
        pixels_bgr_u8 = self._part.pixels_bgr_u8
        if pixels_bgr_u8 is not None:
            self.jpeg = jpeg(pixels_bgr_u8)


class Snapshots:
    """Those that were asked for and not yet sent. Belongs to the thread that judges, which does not encode them."""

    def __init__(self, publisher: Publisher, topics: Topics, replies: Replies) -> None:
        """Send pictures through `publisher`."""
        self._publisher = publisher
        self._topics = topics
        self._replies = replies
        self._asked: list[tuple[str, Message]] = []
        self._taken: list[_Taken] = []

    def ask(self, camera: str, message: Message) -> None:
        """Take the next frame of `camera`. Raises ConfigError where too many wait for one."""
        if len(self._asked) >= MOST_ASKED:
            raise ConfigError(
                f"snapshot: {MOST_ASKED} wait for a frame already; see by the cameras' `status` why none comes."
            )
        self._asked.append((camera, message))

    def watch(self, part: Part) -> None:
        """Look at a part that was judged; one without pixels is none to be seen."""
        messages = [message for camera, message in self._asked if camera == part.camera]
        if not messages or part.picture is None:
            return
        self._asked = [(camera, message) for camera, message in self._asked if camera != part.camera]
        taken = _Taken(part, messages)
        self._taken.append(taken)
        taken.encoding.start()

    def look(self) -> None:
        """Send what is encoded."""
        for taken in [each for each in self._taken if not each.encoding.is_alive()]:
            self._taken.remove(taken)
            picture, topic = taken.jpeg, self._topics.snapshot(taken.camera)
            digest = hashlib.sha256(picture).hexdigest()
            detail = {"camera": taken.camera, "topic": topic, "bytes": len(picture), "sha256": digest}
            for message in taken.messages:
                if taken.encoding.fault is not None:
                    self._replies.refuse(message, f"snapshot: it failed ({taken.encoding.fault}).")
                    continue
                correlation = message.correlation
                self._publisher.send(Outgoing(topic, picture, media_type="image/jpeg", correlation=correlation))
                self._replies.done(message, detail)

    def end(self) -> list[Message]:
        """Give those who wait in vain; what is being encoded is waited for."""
        for taken in self._taken:
            taken.encoding.join(FINISH_S)
        self.look()
        encoding = [message for taken in self._taken for message in taken.messages]
        return [message for _camera, message in self._asked] + encoding
