"""Confidence: how far a rate that was measured on so many parts may lie from the true one."""

import math

Interval = tuple[float, float]
"""Low and high end, with 95 % confidence."""
Z = 1.959964
"""Of the normal distribution, for 95 %."""


def wilson(hits: float, total: float) -> Interval:
    """Wilson's score interval of the rate hits / total; total is above 0 (Wilson 1927)."""
    rate, weight = hits / total, Z**2 / total
    middle = (rate + weight / 2) / (1 + weight)
    half = Z / (1 + weight) * math.sqrt(rate * (1 - rate) / total + weight / (4 * total))
    return max(0.0, middle - half), min(1.0, middle + half)
