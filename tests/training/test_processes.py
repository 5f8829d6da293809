"""What is told of processes that train together."""

import pytest

from core.errors import ConfigError
from training.processes import local_rank, require_as_told

TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "GROUP_RANK": "0", "MASTER_PORT": "29500"}


@pytest.fixture(autouse=True)
def told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TORCHRUN, "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("told", "devices", "rank"),
    [
        ({}, 2, 0),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "3"}, 1, 0),
        ({"RANK": "0", "WORLD_SIZE": "1", "MASTER_PORT": "29500"}, 1, 0),
        ({"LOCAL_RANK": "0"}, 1, 0),
        ({"MASTER_PORT": "tcp://10.0.0.7:29500"}, 1, 0),  # as Kubernetes has it of a service called master
        (TORCHRUN, 2, 1),
        (TORCHRUN | {"NODE_RANK": "0", "RANK": "0"}, 2, 1),
    ],
)
def test_those_that_devices_asks_for_know_which_they_are(
    told: dict[str, str], devices: int, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    require_as_told(devices)
    assert local_rank() == rank


@pytest.mark.parametrize(
    ("told", "devices", "problem"),
    [
        ({"RANK": "1"}, 1, "RANK=1 .* `devices: 1`"),
        ({"WORLD_SIZE": "3"}, 1, "WORLD_SIZE=3"),
        ({"WORLD_SIZE": "2"}, 2, "WORLD_SIZE=2"),
        ({"LOCAL_RANK": "1"}, 1, "LOCAL_RANK=1"),
        ({"LOCAL_RANK": "0"}, 2, "LOCAL_RANK without their WORLD_SIZE and MASTER_PORT"),
        ({"LOCAL_RANK": "garbage"}, 1, "LOCAL_RANK=garbage in the environment is no number; unset it"),
        ({"WORLD_SIZE": ""}, 1, "WORLD_SIZE= in the environment is no number"),
        (TORCHRUN, 1, "LOCAL_RANK=1"),
        (TORCHRUN | {"WORLD_SIZE": "4"}, 2, "WORLD_SIZE=4"),
        (TORCHRUN | {"GROUP_RANK": "1"}, 2, "GROUP_RANK=1"),
    ],
)
def test_what_is_told_of_others_is_refused_by_the_variable(
    told: dict[str, str], devices: int, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=problem):
        require_as_told(devices)
