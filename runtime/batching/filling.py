"""Filling: a frame becomes a row of a batch, and a part of which it is known what is wrong with it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import DataError, PartNotFoundError
from core.pictures.geometry import Roi
from runtime.batching.task import Task
from runtime.cameras.exposure import exposure_fault
from runtime.cameras.settings import CameraSettings, LiveCameraSettings
from runtime.parts.frame import Frame
from runtime.parts.part import Part
from runtime.parts.verdict import Reason


def fill(task: Task, row: NDArray[np.uint8], frame: Frame, settings: CameraSettings, roi: Roi | None) -> Part:
    """Fit `frame` into `row` (H, W, 3) as `task` asks, and say what is known of its part.

    `roi` is the camera's own region; where there is none, that which the model has seen is judged.
    """
    pixels, picture = frame.pixels_u8, None
    faults = [] if frame.fault is None else [frame.fault]
    if pixels is None:
        # The row keeps what another frame left in it: without a fault that would be judged.
        faults = faults or [Reason.UNREADABLE]
    else:
        try:
            picture = task.fit(pixels, frame.layout, row, roi or task.seen.roi, task.seen.pose)
            exposure = exposure_fault(row, settings.exposure)
            faults += [] if exposure is None else [exposure]
        except PartNotFoundError:
            # A dead lamp is told as such: the frame itself is asked, since nothing of it is in the row.
            exposure = exposure_fault(pixels, settings.exposure)
            faults += [Reason.NO_PART] if exposure is None else [exposure, Reason.NO_PART]
        except DataError:
            faults.append(Reason.ROI_OUTSIDE)
        except (cv2.error, MemoryError):  # sides that OpenCV does not take, more than there is memory for
            faults.append(Reason.UNREADABLE)
    stale_s = None
    if isinstance(settings, LiveCameraSettings) and frame.trigger is None and not settings.every_frame_is_a_part:
        stale_s = frame.captured.s + settings.stale_after_s
    return Part(
        camera=task.stream,
        captured=frame.captured,
        size=None if pixels is None else (pixels.shape[1], pixels.shape[0]),
        source=frame.source,
        faults=(*faults, *task.faults),
        trigger=frame.trigger,
        chunks=frame.chunks,
        stale_s=stale_s,
        cause=frame.trigger.cause if frame.trigger else frame.cause,
        mark=frame.mark,
        picture=picture,
    )
