"""Back-off: how long to wait before a broker or a camera is tried again, for ever. Pure."""


def backoff_s(attempt: int, chance: float, first_s: float = 0.25, longest_s: float = 30.0) -> float:
    """Seconds to wait before the next try: doubling, with jitter by `chance` in [0, 1), never above `longest_s`."""
    return float(min(longest_s, first_s * 2 ** min(attempt, 16)) * (0.5 + chance / 2))
