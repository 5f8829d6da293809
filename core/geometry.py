"""Geometry of pictures, in pixels."""

Roi = tuple[int, int, int, int]
"""Region of interest: left, top, width, height."""
PartSize = tuple[int, int]
"""Length and breadth of the cut-out in pixels of the camera's picture: the part's own and a margin."""
