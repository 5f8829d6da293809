"""The standing of a live camera: its status, which its reader and its feed change, and anybody reads."""

import logging
import threading
import time

from runtime.cameras.camera import CameraState, CameraStatus

log = logging.getLogger(__name__)
UNCONNECTED = "not connected yet"
CONNECTED = "connected, and waits for its first frame"


class Standing:
    """Keeps a camera's status, and says in the log when its state changes, or why it lasts: each reason once."""

    def __init__(self, name: str) -> None:
        """Begin not connected."""
        self.status = CameraStatus(CameraState.RECONNECTING, time.time(), UNCONNECTED)
        self.name = name
        self._changing = threading.Lock()
        self._told = {CONNECTED}
        """Reasons that the log has, since it last gave frames."""

    def is_open(self) -> None:
        """It is connected; of one that has never been, this is news."""
        if self.status.reason == UNCONNECTED:
            self.change(CameraState.RECONNECTING, CONNECTED)

    def change(
        self, state: CameraState, reason: str, reconnects: int = 0, last_frame_at_s: float | None = None
    ) -> None:
        """Set the state; add to `reconnects`, and note when the last frame came (Unix time). What has stopped stays."""
        with self._changing:
            was = self.status
            if was.state == CameraState.STOPPED:
                return
            self.status = CameraStatus(
                state,
                was.since_at_s if was.state == state else time.time(),
                reason,
                last_frame_at_s or was.last_frame_at_s,
                was.reconnects + reconnects,
            )
            is_news = was.state != state or reason not in self._told
            self._told = {reason} | ({CONNECTED} if state == CameraState.STREAMING else self._told)
        if is_news:
            level = logging.INFO if state in (CameraState.STREAMING, CameraState.STOPPED) else logging.WARNING
            log.log(level, "camera %s camera=%s reason=%r", state, self.name, reason)
