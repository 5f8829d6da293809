"""The inbox: what was heard and is not served yet. Bounded: stations may tell more than one core serves."""

import asyncio
import threading
from collections import deque

from runtime.following.follower import Contact
from runtime.mqtt.faults import Unreachable
from runtime.mqtt.message import Message

LONGEST = 2000
"""Messages that may wait."""


class Inbox:
    """Passes from the follower's thread, which puts, to the event loop that it was made in, which takes."""

    def __init__(self) -> None:
        self.left_out = 0
        """Messages that came faster than they were served."""
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Message | Contact] = deque()
        self._changed = threading.Lock()
        self._rung = asyncio.Event()

    def put(self, what: Message | Contact) -> None:
        """Put a message, or how it stands with the broker.

        Raises Unreachable where too many messages wait, and leaves all of them out: after a new connection the broker
        gives what is retained, so that no state of a station stays wrong.
        """
        with self._changed:
            if isinstance(what, Message) and len(self._waiting) >= LONGEST:
                self.left_out += 1 + sum(isinstance(each, Message) for each in self._waiting)
                self._waiting.clear()
                count = f"{self.left_out} messages or more were left out"
                raise Unreachable(f"stations report more than can be served; {count}")
            self._waiting.append(what)
        self._loop.call_soon_threadsafe(self._rung.set)

    async def take(self, timeout_s: float) -> Message | Contact | None:
        """Give what has waited for longest; None where nothing came within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self._waiting:
                    self._rung.clear()
                    if not self._waiting:  # put meanwhile
                        await self._rung.wait()
        except TimeoutError:
            return None
        with self._changed:
            return self._waiting.popleft() if self._waiting else None
