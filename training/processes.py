"""The processes that train together on this machine: as many as `devices` says, started by Lightning, or by torchrun.

Each is told which one it is by the variables below. What a scheduler says of a job, as Slurm does, starts nothing.
"""

import os
from typing import Literal

import torch

from core.errors import ConfigError

Devices = int | Literal["auto"]
_TOLD = ("LOCAL_RANK", "RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE")


def together(devices: Devices) -> int:
    """Say how many processes train together where the configuration has `devices`."""
    return max(1, torch.cuda.device_count()) if devices == "auto" else devices


def local_rank() -> int:
    """Say which of them this one is: 0 the first, or the only one. Raises ConfigError where it is told no number."""
    return _told("LOCAL_RANK").get("LOCAL_RANK", 0)


def require_as_told(devices: Devices) -> None:
    """Refuse what is told of others that do not train with this process: it would wait for them for ever.

    Raises ConfigError.
    """
    told, processes = _told(*_TOLD), together(devices)
    is_one_of_them = "LOCAL_RANK" in told
    ranks = processes if is_one_of_them else 1
    below = {"LOCAL_RANK": ranks, "RANK": ranks, "NODE_RANK": 1, "GROUP_RANK": 1, "WORLD_SIZE": ranks + 1}
    wrong = [f"{name}={told[name]}" for name, end in below.items() if told.get(name, 0) >= end]
    if is_one_of_them and processes > 1 and ("MASTER_PORT" not in os.environ or told.get("WORLD_SIZE") != processes):
        wrong.append("LOCAL_RANK without their WORLD_SIZE and MASTER_PORT")
    if wrong:
        raise ConfigError(
            f"{wrong[0]} in the environment tells of other processes than `devices: {devices}` asks for, here "
            f"{processes}; unset it, train-model starts them itself."
        )


def _told(*names: str) -> dict[str, int]:
    told = {name: os.environ[name] for name in names if name in os.environ}
    for name, text in told.items():
        if not text.isdecimal():
            raise ConfigError(f"{name}={text} in the environment is no number; unset it, or set it as torchrun does.")
    return {name: int(text) for name, text in told.items()}
