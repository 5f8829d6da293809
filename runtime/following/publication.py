"""A publication: a message on its way to the broker. Whoever sent it may wait for what becomes of it."""

import threading

from runtime.mqtt.message import Outgoing


class Publication:
    """One message. The connection's thread settles it, any thread waits or withdraws."""

    def __init__(self, message: Outgoing) -> None:
        """Nothing is known of it yet."""
        self.message = message
        self.refusal = ""
        """Why the broker did not take it; empty: it did, or has not answered."""
        self._settled = threading.Event()

    @property
    def is_settled(self) -> bool:
        """Whether the broker took or refused it, or nobody wants it sent any more."""
        return self._settled.is_set()

    def settle(self, refusal: str = "") -> None:
        """The broker took it; `refusal` says why it did not."""
        self.refusal = refusal
        self._settled.set()

    def withdraw(self) -> None:
        """Send it no more, where it waits for the broker still."""
        self._settled.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the broker's answer; False where none came within `timeout_s`."""
        return self._settled.wait(timeout_s)
