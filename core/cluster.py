"""A Ray cluster: the one that RAY_ADDRESS names, or one on this machine for as long as the work takes."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from core.errors import BackendError, ConfigError, PwaeError, one_line

log = logging.getLogger(__name__)


@contextmanager
def ray_cluster(cpus: int, gpus: float = 0.0) -> Iterator[Any]:
    """Give the module `ray`, connected; one that is started here has `cpus`. It tells nobody what is done with it.

    `gpus` is what each piece of work will ask for. Raises ConfigError where Ray is not installed, no cluster is where
    RAY_ADDRESS says, or none could ever give so much of a GPU: Ray itself would wait for ever.
    """
    if gpus > 1 and gpus != int(gpus):
        raise ConfigError(f"--gpus {gpus:g}: give a share up to 1, or whole GPUs.")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it has files of its own for the rest
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--ray needs the package {error.name}; pip install '.[ray]', or do without --ray."
        ) from error
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    address = os.environ.get("RAY_ADDRESS")
    here = {} if address else {"address": "local", "num_cpus": cpus, "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"RAY_ADDRESS {address}" if address else "a Ray cluster on this machine"
        raise ConfigError(f"{where} cannot be used: {one_line(error)}") from error
    try:
        if gpus > ray.cluster_resources().get("GPU", 0.0):
            if not address:
                raise ConfigError(f"--gpus {gpus:g}: Ray finds no such GPU on this machine; leave --gpus out.")
            log.warning("the cluster has no GPU for --gpus %g now; the work waits for one", gpus)
        yield ray
    finally:
        ray.shutdown()


def failed(error: BaseException) -> PwaeError:
    """Give what a task of ours raised, out of what Ray made of it; BackendError where Ray itself gave up."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, PwaeError):
            return type(seen)(str(seen.args[0]) if seen.args else one_line(seen))
        seen = getattr(seen, "cause", None) or seen.__cause__
    return BackendError(f"Ray gave up: {one_line(error)}")


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0))
