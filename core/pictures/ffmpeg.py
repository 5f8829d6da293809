"""FFMPEG's memory: by itself it takes whatever a file or camera claims to need."""

import ctypes

MOST_BYTES = 2**28
"""Of one block. Else a picture over HTTP that claims 2 GB, or never ends, gets them."""


def bound_memory() -> None:
    """Let FFMPEG take no larger block, in this whole process: what needs one ends with MemoryError."""
    import av.packet

    ctypes.CDLL(av.packet.__file__).av_max_alloc(ctypes.c_size_t(MOST_BYTES))  # PyAV itself has no call for it
