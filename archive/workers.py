"""The workers: judges of shards side by side, on this machine or on a Ray cluster, by the same code."""

import json
import queue
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from archive.plan import Plan, Shard
from archive.shard_judge import ShardJudge
from core.cluster import failed, ray_cluster
from core.futures import results

RAY_TRIES = 3
"""How often an actor that was lost is started again, and its shard handed out again; Ray's own is for ever."""


def judged_here(plan: Plan, workers: int) -> Generator[tuple[int, str], None, None]:
    """Judge the missing shards with `workers` processes; give number and rows of each, in the order they are done.

    Raises what `ShardJudge.judge` does.
    """
    judges = [ShardJudge(plan.bundle, plan.terms.tiles) for _ in range(workers)]
    free: queue.SimpleQueue[ShardJudge] = queue.SimpleQueue()
    for judge in judges:
        free.put(judge)

    def work(shard: Shard) -> tuple[int, str]:
        judge = free.get()
        try:
            return shard.number, judge.judge(shard.pictures)
        finally:
            free.put(judge)

    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from results([pool.submit(work, shard) for shard in plan.missing()])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for judge in judges:
                judge.close()


class _Actor:
    """A judge of shards as Ray Data calls it: rows in, rows out. Text, since a file's name may be none in Arrow."""

    def __init__(self, bundle: str, tiles: int) -> None:
        self._judge = ShardJudge(Path(bundle), tiles)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"number": row["number"], "rows": self._judge.judge(json.loads(row["pictures"]))}


def judged_on_ray(plan: Plan, workers: int, gpus: float) -> Generator[tuple[int, str], None, None]:
    """Judge the missing shards with `workers` actors of Ray Data, each with `gpus`; as `judged_here`.

    On the cluster that RAY_ADDRESS names, whose machines see bundle and pictures under the same paths; else on one
    that is started here. Raises ConfigError where Ray is missing or cannot be reached, BackendError where it gives up.
    """
    shards = [{"number": shard.number, "pictures": json.dumps(shard.pictures)} for shard in plan.missing()]
    with ray_cluster(workers, gpus) as ray:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_consecutive_actor_init_deaths = RAY_TRIES  # it gives up at the first one that dies as it starts
        data = ray.data.from_items(shards, override_num_blocks=len(shards)).map(
            _Actor,
            fn_constructor_args=(str(plan.bundle.resolve()), plan.terms.tiles),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=gpus or None,
            max_restarts=RAY_TRIES,
            max_task_retries=RAY_TRIES,
        )
        try:
            for row in data.iter_rows():
                yield row["number"], row["rows"]
        except ray.exceptions.RayError as error:
            raise failed(error) from error
