"""Block ids: how a factory camera numbers its frames, and what a gap in the numbers means. Pure."""

LARGEST_16 = 2**16 - 1
"""After this cameras of 16 bits begin again: those of GigE Vision 1 with 1, others with 0. Of 64 bits it is no end."""
LARGEST_GAP = 1000
"""More than this was not lost on the way: the camera began to count again."""

AT_ONCE, FASTEST_PER_S, LONGEST_BURST_S = 10, 1000, 0.1
"""Frames that may come before the first one is taken: at once, a second, and for how long nobody has taken one."""


def missed(last: int, block_id: int) -> int | None:
    """Say how many frames lie between two that came one after the other; None where it began to count again."""
    step = block_id - last
    if step < 0 and last <= LARGEST_16:
        step += LARGEST_16 + (block_id == 0)
    return step - 1 if 0 < step <= LARGEST_GAP else None


def missed_at_first(block_id: int, earlier: int | None, since_s: float) -> int:
    """Say how many frames lie before the first one of a connection, `since_s` after the camera was told to begin.

    Most begin to count with 1 then. `earlier` is the last one of the connection before; some go on with their count
    from there. Without it more than can have come in a burst were not lost: the camera counted before.
    """
    lost = missed(0, block_id) or 0
    if earlier is None:
        burst = max(AT_ONCE, FASTEST_PER_S * min(since_s, LONGEST_BURST_S))
        return lost if lost <= burst else 0
    return lost if block_id <= earlier else 0
