"""Many part numbers: `train-many`."""
