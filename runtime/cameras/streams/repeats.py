"""Repeats: packets of MPEG-4 (part 2) that hold no picture and say that the one before stays, as of AVI's recorders."""

START = b"\0\0\1\xb6"
LONGEST = 5
"""Bytes behind the start: a picture of 20 blocks or more does not fit in."""
PREDICTED = "01"
NOT_CODED = "100"
"""A mark, that there is no picture, and the first bit of what fills the last byte; ones follow (6.2.5, ISO 14496-2)."""


def is_repeat(packet: bytes) -> bool:
    """Whether a packet says that the picture before stays: the decoder gives none for it."""
    _, start, told = packet.rpartition(START)
    if not start or not 0 < len(told) <= LONGEST:
        return False
    bits = f"{int.from_bytes(told, 'big'):0{8 * len(told)}b}"
    content = bits.rstrip("1")
    return bits.startswith(PREDICTED) and content.endswith(NOT_CODED) and len(bits) - len(content) < 8
