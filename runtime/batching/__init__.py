"""Rows of a batch, shared fairly among the cameras."""
