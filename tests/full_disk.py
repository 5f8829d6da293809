"""A disk that is full, as far as this process is concerned."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_disk(left_bytes: int) -> Iterator[None]:
    """Let no file grow beyond `left_bytes`. Nor are modules' compiled forms kept, which Python would cut short."""
    limits, is_kept = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (left_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sys.dont_write_bytecode = is_kept
