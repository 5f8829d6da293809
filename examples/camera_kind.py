"""A camera kind of your own: one that asks a program for each picture. `python camera_kind.py CONFIG COMMAND...`.

CONFIG is a configuration of run-inspection, in which it stands in for every camera. COMMAND writes a PNG to its output.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from core.config import load_settings
from core.stop import Stop
from runtime.cameras.camera import Camera
from runtime.inference.models import open_models
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason
from runtime.settings import InspectionSettings
from runtime.station.assembly import connect


class ProgramCamera(Camera):
    """Gives what a program writes, `frames_total` times. A picture that does not come is a frame with a fault."""

    def __init__(self, command: list[str], frames_total: int) -> None:
        self.frames_total = frames_total
        self._command = command

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        for _number in range(self.frames_total or 0):
            if stopping.is_set():
                return
            png = subprocess.run(self._command, capture_output=True, check=False).stdout
            pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR) if png else None
            now = Moment.now()
            if pixels is None:
                yield Frame(None, now, fault=Reason.UNREADABLE)
            else:
                yield Frame(np.asarray(pixels, np.uint8), now)


if __name__ == "__main__":
    settings = load_settings(Path(sys.argv[1]), InspectionSettings)
    site = settings.site_thresholds()
    models = open_models(settings.station, settings.bundle, settings.bundles, settings.asked, site)
    cameras = {name: ProgramCamera(sys.argv[2:], frames_total=3) for name in settings.cameras}
    with connect(settings, cameras, models) as inspection:
        print(dict(inspection.run(Stop()).verdicts))
