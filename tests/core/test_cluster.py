import pytest

from core.cluster import ray_cluster
from core.errors import ConfigError


@pytest.mark.ray
def test_a_gpu_that_no_machine_has_is_told_rather_than_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for gpus, words in ((1.5, "a share up to 1, or whole GPUs"), (0.25, "finds no such GPU on this machine")):
        with pytest.raises(ConfigError, match=words), ray_cluster(1, gpus):
            pass


@pytest.mark.ray
def test_a_cluster_of_somebody_else_on_this_machine_is_not_joined_unasked(
    ray_here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address, cpus in (("", 1), (ray_here, 2)):
        monkeypatch.setenv("RAY_ADDRESS", address)
        with ray_cluster(1) as ray:
            assert ray.cluster_resources()["CPU"] == cpus
