"""The workshop: good pictures in, a checkpoint out. torch lives here and in export, nowhere else."""
