"""The plan: which pictures are judged with which bundle, in shards, kept on disk so that a restart means the same."""

import json
from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass
from os.path import realpath
from pathlib import Path

from core.errors import ConfigError, DataError
from core.files import write_whole
from core.pictures.picture import find_pictures
from runtime.bundles.bundle import load_bundle

SHARD_PICTURES = 256
"""Judged at once, and again where they were under way when the work was interrupted."""
PLAN, PICTURES = "plan.json", "pictures.jsonl"


@dataclass(frozen=True)
class Terms:
    """What must not change between a start and a restart."""

    bundle_digest: str
    places: tuple[str, ...]
    """The folders that were asked for, whole paths."""
    shard_pictures: int
    tiles: int


@dataclass(frozen=True)
class Shard:
    """Pictures that are judged together."""

    number: int
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """One archive and one bundle, and the folder where the rows of finished shards lie."""

    bundle: Path
    terms: Terms
    pictures: tuple[str, ...]
    """Whole paths in name order, folder by folder, each once; some 100 bytes each are held in memory."""
    folder: Path

    @property
    def shards(self) -> int:
        """How many there are in all."""
        return -(-len(self.pictures) // self.terms.shard_pictures)

    def missing(self) -> list[Shard]:
        """Give the shards whose rows are not there yet."""
        size = self.terms.shard_pictures
        numbers = (number for number in range(self.shards) if not self.rows_of(number).exists())
        return [Shard(number, self.pictures[number * size : (number + 1) * size]) for number in numbers]

    def rows_of(self, number: int) -> Path:
        """Where the rows of a shard stand, a JSON object a line."""
        return self.folder / f"shard-{number:06}.jsonl"

    def keep(self, number: int, rows: str) -> None:
        """Write the rows of a shard, whole or not at all. Raises OSError."""
        write_whole(self.rows_of(number), rows.encode())


def make_plan(bundle: Path, places: Sequence[Path], folder: Path, shard_pictures: int = SHARD_PICTURES) -> Plan:
    """Look through the folders, or take up the plan that stands in `folder`.

    Raises ArtifactError where the bundle is no good, DataError where there are no pictures, ConfigError where another
    run's plan stands in `folder`, OSError where it cannot be written.
    """
    manifest = load_bundle(bundle).manifest
    whole = tuple(realpath(place) for place in places)
    terms = Terms(manifest.digest, whole, shard_pictures, manifest.grid**2)
    if (folder / PLAN).exists():
        return Plan(bundle, terms, _taken_up(folder, terms), folder)
    for place in places:
        if not place.is_dir():
            raise DataError(f"{place}: no such folder; give folders of pictures.")
    require_ours(folder, {PICTURES, f".{PICTURES}.part", f".{PLAN}.part"})
    pictures = tuple(dict.fromkeys(str(file) for place in whole for file in find_pictures(Path(place))))
    if not pictures:
        raise DataError(f"{', '.join(whole)}: no pictures in it.")
    folder.mkdir(parents=True, exist_ok=True)
    # ASCII: a file's name may have bytes that are no text.
    write_whole(folder / PICTURES, "".join(f"{json.dumps(file)}\n" for file in pictures).encode())
    write_whole(folder / PLAN, json.dumps(asdict(terms), indent=2).encode())
    return Plan(bundle, terms, pictures, folder)


def require_ours(folder: Path, ours: Set[str]) -> None:
    """Refuse a folder for work, deleted in the end, where there is more in it than is `ours`. Raises ConfigError."""
    if folder.is_dir() and (foreign := {path.name for path in folder.iterdir()} - ours):
        raise ConfigError(f"{folder}: holds {min(foreign)}, and would be deleted in the end; choose another --output.")


def _taken_up(folder: Path, terms: Terms) -> tuple[str, ...]:
    try:
        found = json.loads((folder / PLAN).read_bytes())
        if Terms(**found | {"places": tuple(found["places"])}) != terms:
            raise ConfigError(
                f"{folder}: the unfinished work of another bundle or of other folders; finish that, or remove {folder}."
            )
        lines = (folder / PICTURES).read_bytes().splitlines()
        return tuple(json.loads(line) for line in lines)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{folder}: damaged ({error}); remove it and begin again.") from error
