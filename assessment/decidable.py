"""What a station would not decide about: left out of figures, since it is neither a miss nor a false reject."""

import sys
from dataclasses import replace

from core.datasets.frames import Frames
from runtime.cameras.exposure import exposure_fault


def decidable(frames: Frames) -> Frames:
    """Skip pictures that are black or over-exposed by a camera's usual `exposure`, each named on stderr.

    Where more than half are so, it is how these parts are lit, such as in a dark field: all stay, with a warning.
    """
    faults = [exposure_fault(frame) for frame in frames.bgr_u8]
    found = {row: fault for row, fault in enumerate(faults) if fault is not None}
    if not found:
        return frames
    first = frames.samples[min(found)].path
    if 2 * len(found) > len(faults):
        sys.stderr.write(
            f"warning: {len(found)} of {len(faults)} pictures are black or over-exposed, such as {first}, and judged "
            "all the same; a station does so where its camera's `exposure` is set for such pictures.\n"
        )
        return frames
    for row, fault in found.items():
        sys.stderr.write(f"skipped: {frames.samples[row].path}: {fault}, a station would not decide about it\n")
    kept = [row for row in range(len(faults)) if row not in found]
    gone = tuple(frames.samples[row].path for row in found)
    samples = tuple(frames.samples[row] for row in kept)
    return replace(frames, bgr_u8=frames.bgr_u8[kept], samples=samples, skipped=frames.skipped + gone)
