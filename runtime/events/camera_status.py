"""Camera status: what a camera's `status` topic tells. Pure."""

from core.timestamps import rfc3339
from runtime.cameras.camera import CameraStatus
from runtime.events.encoding import dumps


def camera_card(status: CameraStatus, triggers_refused: int) -> bytes:
    """Tell how it stands with a camera; `triggers_refused` counts the malformed messages on its trigger topic."""
    last_s = status.last_frame_at_s
    return dumps(
        {
            "state": status.state,
            "reason": status.reason,
            "since": rfc3339(status.since_at_s),
            "last_frame_time": None if last_s is None else rfc3339(last_s),
            "reconnects": status.reconnects,
            "dropped": status.dropped,
            "triggers_refused": triggers_refused,
        }
    )
