"""Judged parts, to look back at: their events by id, and counts per job and shift."""
