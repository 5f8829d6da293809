import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.runtime.broker import Mosquitto

# Tests are small: one thread each is faster than two that wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"
# A machine that pauses makes any example slow, which says nothing of ours.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
# For `make check`: drawing examples is a good part of its time.
settings.register_profile("quick", settings.get_profile("patient"), max_examples=25)


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    """What a test started with `run_command` has ended, and its pipes are closed, before the next one."""
    yield
    from tests.runtime.command import end_all

    end_all()


@pytest.fixture
def mosquitto(tmp_path: Path) -> "Iterator[Mosquitto]":
    """A real broker of the test's own."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    yield from _started(folder)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Mosquitto]":
    """A real broker of the module's own."""
    yield from _started(tmp_path_factory.mktemp("mosquitto"))


def _started(folder: Path) -> "Iterator[Mosquitto]":
    from tests.runtime.broker import Mosquitto

    broker = Mosquitto(folder)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set in MVTec layout."""
    from tests.pictures import write_parts

    return write_parts(tmp_path_factory.mktemp("parts"))


def training_config(parts: Path, output: Path, **changes: Any) -> dict[str, Any]:
    """A configuration that trains in seconds."""
    config: dict[str, Any] = {
        "name": "disc",
        "data": str(parts),
        "output": str(output),
        "network": {
            "height": 48,
            "width": 48,
            "tile_scale": 1.0,
            "encoder": {
                "name": "tiny",
                "stages": [2],
                "stride": 8,
                "weights": None,
                "frozen": False,
                "whole": False,
            },
            "equalise": False,
            "latent_channels": 8,
            "decoder_channels": 16,
            "permutations": 20,
        },
        "loss": {"cosine": 0.0, "pixels_share": 1.0, "worst_share": 1.0},
        "score": {"space": "pixels", "distance": "squared", "worst_share": 1.0, "memory": 0},
        "optimiser": {"name": "sgd", "learning_rate": 0.01},
        "folds": 1,
        "epochs": 3,
        "batch_size": 8,
        "calibration_share": 0.5,
        "false_reject_rate": 0.1,
    }
    return config | changes


@pytest.fixture(scope="session")
def make_training_config() -> Callable[..., dict[str, Any]]:
    return training_config


@pytest.fixture(scope="session")
def checkpoint(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint trained on `parts` just long enough to see scratches."""
    from training.session import train
    from training.settings import TrainingSettings

    output = tmp_path_factory.mktemp("run")
    config = training_config(parts, output, epochs=12, optimiser={"name": "adamw", "learning_rate": 0.005})
    return train(TrainingSettings.model_validate(config))


@pytest.fixture(scope="session")
def ray_here() -> Iterator[str]:
    """The address of a Ray cluster with two cores and one GPU, which is one by name only."""
    utilities = pytest.importorskip("ray.cluster_utils")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # its own, 15, is for ever where others work too
        cluster = utilities.Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 1})
    yield cluster.address
    cluster.shutdown()


LEFT_OUT = {
    "machine": {"mosquitto", "factory_camera", "mes", "mjpeg", "rtsp", "station", "gateway", "broker"},
    "long": {"checkpoint", "make_training_config", "built"},
}
"""What `make check` leaves out: tests with these fixtures, by the marker that they get."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("ray"):
            for its_own in ("DeprecationWarning", "FutureWarning", "ResourceWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{its_own}"))
        for marker, fixtures in LEFT_OUT.items():
            if fixtures & set(getattr(item, "fixturenames", ())):
                item.add_marker(marker)
    # Files that train or export keep a core busy for minutes: begun last, one would go on alone when all else is done.
    long = Counter(item.path for item in items if item.get_closest_marker("long"))
    items.sort(key=lambda item: -long[item.path])
