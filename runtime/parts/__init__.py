"""A frame, a part, a verdict."""
