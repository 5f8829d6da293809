"""What smaller forms of the recipe lose: AUROC by the size of both pictures, the encoder's stages and the folds.

    python benchmarks/sketch_forms.py --mvtec DIR --forms "216/144, 3 5, 4 folds" --sets cookie --seeds 0

A form is the short side in pixels of the whole picture and of the tiles' (216/144 is the recipe's), the stages, after a
stroke the tiles' own (then the whole picture alone is judged), the folds and, where they are not 128, the decoders'
channels: "192/72, 3 5 6/3, 4 folds, 64". Maps keep as many places. Pixels are not rebuilt: only people look at them.
What a form costs, benchmarks/bench_forms.py says. A run's figures are appended to benchmarks/results/forms.jsonl as it
ends, and one that stands there is not done again.
"""

import argparse
import math
from itertools import product
from pathlib import Path
from typing import Any

from machine import describe
from quality import RESULTS, SETS, append_run, read_runs, recipe_for
from sketch_epochs import measure

from core.datasets.dataset import ELPV

RECIPE_SIDE, PLACES = 216, 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, help="folder that holds the sets in MVTec layout")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--forms", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    log = RESULTS / "forms.jsonl"
    done = {(run["set"], run["form"], run["seed"]) for run in read_runs(log)}
    for seed, name, form in product(arguments.seeds, arguments.sets, arguments.forms):
        if (name, form, seed) in done:
            continue
        data = name if name.startswith(ELPV) else str(arguments.mvtec / name)
        changes = changes_of(form, recipe_for(data, name).get("network", {}))
        run = {"set": name, "form": form, "seed": seed, **measure(data, name, {**changes, "seed": seed})}
        append_run(log, {**run, **describe("torch")})
        print(run, flush=True)


def changes_of(form: str, network: dict[str, Any]) -> dict[str, Any]:
    """Read a form, for a set whose recipe has this network."""
    sides, stages, folds, *channels = form.split(", ")
    whole, tiles = map(int, sides.split("/"))
    size = {side: round(network.get(side, RECIPE_SIDE) * whole / RECIPE_SIDE / 3) * 3 for side in ("height", "width")}
    chosen = [[int(stage) for stage in part.split()] for part in stages.split("/")]
    encoder = {**dict(zip(("stages", "tile_stages"), chosen, strict=False)), "stride": math.ceil(tiles / PLACES)}
    decoder = {"decoder_channels": int(channels[0])} if channels else {}
    return {
        "network": {**size, "tile_scale": tiles / whole, "encoder": encoder, **decoder},
        "folds": int(folds.removesuffix(" folds")),
    }


if __name__ == "__main__":
    main()
