"""The test bench: what a trained model is worth, of a checkpoint or a bundle, and its threshold set anew."""
