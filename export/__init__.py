"""The gate: a checkpoint in, a bundle out, proven to judge as the checkpoint does."""
