"""Fitting the decoders: pictures in memory, losses, Lightning's loop, the points to resume from."""
