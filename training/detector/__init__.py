"""The trained detector: the one graph that judges, what it remembers, and its file, the checkpoint."""
