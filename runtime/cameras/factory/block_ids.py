"""Block ids: how a factory camera numbers its frames, and what a gap in the numbers means. Pure."""

LARGEST_16 = 2**16 - 1
"""Cameras of GigE Vision 1 count from 1 to this and begin again with 1; others do not come to an end."""
LARGEST_GAP = 1000
"""More than this was not lost on the way: the camera began to count again."""


def missed(last: int, block_id: int) -> int | None:
    """Say how many frames lie between two that came one after the other; None where it began to count again."""
    step = block_id - last if block_id > last else block_id - last + LARGEST_16
    return step - 1 if 0 < step <= LARGEST_GAP else None
