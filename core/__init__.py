"""The floor on which the three rooms stand: pictures, thresholds, configuration, errors. No torch, no I/O but files."""
