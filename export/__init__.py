"""The gate: a checkpoint in, a bundle out, proven to judge as the checkpoint does."""

from core.start import command

export_engine = command("export.cli", "export_engine")
