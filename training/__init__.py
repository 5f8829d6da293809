"""The workshop: good pictures in, a checkpoint out. torch lives here and in export, nowhere else."""

from core.start import command

train_model = command("training.cli", "train_model")
train_many = command("training.many.cli", "train_many")
