"""A bell: wakes a thread that waits for sockets. Any thread rings, one thread hears."""

import contextlib
import socket


class Bell:
    """Rings until `close`."""

    def __init__(self) -> None:
        self._ringing, self.heard = socket.socketpair()
        """`heard` can be read when somebody rang."""
        self._ringing.setblocking(False)
        self._is_ringing = False

    def ring(self) -> None:
        """Wake whoever waits. Returns at once."""
        if self._is_ringing:  # each byte sent lets another thread run first
            return
        self._is_ringing = True
        # It is closed when the thread has ended.
        with contextlib.suppress(OSError):
            self._ringing.send(b"\0")

    def hear(self) -> None:
        """Let it fall silent, where it rang: call this first, and look for what is new then."""
        self.heard.recv(4096)
        self._is_ringing = False

    def close(self) -> None:
        """Nobody waits any more."""
        self.heard.close()
        self._ringing.close()
