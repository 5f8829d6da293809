"""A bell: wakes a thread that waits for sockets. Any thread rings, one thread hears."""

import contextlib
import socket


class Bell:
    """Rings until `close`."""

    def __init__(self) -> None:
        self._ringing, self.heard = socket.socketpair()
        """`heard` can be read when somebody rang."""
        self._ringing.setblocking(False)

    def ring(self) -> None:
        """Wake whoever waits. Returns at once."""
        # The pipe is full when the earlier rings were not yet heard, and closed when the thread has ended.
        with contextlib.suppress(OSError):
            self._ringing.send(b"\0")

    def close(self) -> None:
        """Nobody waits any more."""
        self.heard.close()
        self._ringing.close()
