"""The service manager: systemd is told that the station is up, and again and again that it goes round."""

import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)


class ServiceManager:
    """Speaks sd_notify's protocol: datagrams to the socket that the environment names. Without one it says nothing.

    Source: systemd's manual, sd_notify(3). Belongs to the thread that judges: where that one hangs, silence tells.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`."""
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        is_watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        within_us = environment.get("WATCHDOG_USEC", "")
        self._every_s = int(within_us) / 1e6 / 3 if is_watched and within_us.isdecimal() else 0.0
        """Three times within what systemd waits, so that one late turn is no fault."""
        self._told_s = float("-inf")

    def ready(self) -> None:
        """Tell that the station is up."""
        self._send("READY=1")

    def alive(self) -> None:
        """Tell that it goes round; called as often as it does, and passed on as often as it is asked for."""
        now_s = time.monotonic()
        if self._every_s and now_s - self._told_s >= self._every_s:
            self._told_s = now_s
            self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
                channel.sendto(state.encode(), self._address)
        except OSError as error:
            log.warning("service manager not told state=%s reason=%r", state, str(error))
