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
