"""Numbers of bundles: each is one more than those of its name that lie where it will."""

from pathlib import Path

from core.errors import ArtifactError
from export.staging import place_of
from runtime.bundles.bundle import read_manifest
from runtime.bundles.manifest import MANIFEST


def next_number(name: str, output: Path) -> int:
    """Give the number of the bundle `name` that is to lie at `output`: those beside it, and what it replaces, count.

    What is no readable bundle has none.
    """
    found = [0]
    for manifest in place_of(output).parent.glob(f"*/{MANIFEST}"):
        try:
            other = read_manifest(manifest.parent)
        except ArtifactError:
            continue
        if other.name == name:
            found.append(other.number or 0)
    return max(found) + 1
