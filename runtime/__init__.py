"""The edge: a bundle and cameras in, events out over MQTT. Knows nothing of training, and runs without torch."""

from core.start import command

run_inspection = command("runtime.cli", "run_inspection")
