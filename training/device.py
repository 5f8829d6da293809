"""The device that PyTorch computes on: this process's own GPU, in float32 that is float32, else the CPU."""

import torch

from training.processes import local_rank


def choose_device() -> torch.device:
    """Give the device, and see that float32 products keep all their bits from here on.

    With TF32, PyTorch's own choice for convolutions, they keep 10: thresholds would be set for another detector than
    the one that is exported, whose engines have it off. Of several processes each has the GPU of its local rank.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", local_rank())
