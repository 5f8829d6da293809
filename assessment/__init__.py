"""The test bench: what a trained model is worth, of a checkpoint or a bundle, and its threshold set again."""

from core.start import command

evaluate_model = command("assessment.cli", "evaluate_model")
