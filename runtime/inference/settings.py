"""The backend's part of the configuration."""

from typing import Literal

from pydantic import Field

from core.config import Settings

Kind = Literal["auto", "tensorrt", "onnxruntime-cuda", "onnxruntime-cpu"]
"""A backend."""
FramesOn = Literal["cpu", "gpu"]
"""Where cameras' frames become rows of a batch."""


class BackendSettings(Settings):
    """Who computes."""

    kind: Kind = "auto"
    """`auto`: an engine of the bundle that fits this machine, else ONNX Runtime on the GPU, else on the CPU; the log
    says which and why. Any other that is missing here is an error."""
    device: int = Field(default=0, ge=0)
    """Which GPU, by CUDA's count; 0 is the first."""
    frames: FramesOn = "cpu"
    """Where cameras' frames are cropped, resized and, of a colour mosaic, get their colours. `gpu`, for many or large
    ones, needs `tensorrt`; parts that lie at an angle (the bundle's `part_size`) are cut out by the CPU even so."""
    threads: int = Field(default=0, ge=0, le=1024)
    """Of ONNX Runtime on the CPU. 0: every core."""
