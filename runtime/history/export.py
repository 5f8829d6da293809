"""The export of marked pictures: a data set to learn from, and what other tools want beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.datasets.layout import require_apart
from core.errors import ConfigError
from core.pictures.geometry import Roi
from runtime.history.annotations import Annotations, coco, label_studio
from runtime.history.marked_pictures import export_marked


def export(
    evidence: Path | None,
    output: Path,
    annotations: Annotations | None,
    regions: Mapping[str, Roi | None],
    judged: Sequence[Path] = (),
) -> Sequence[str]:
    """Export the marked pictures as `export_marked` does; returns in words what lies where. Raises as that does.

    ConfigError too where no `evidence` is kept, or `output` lies in one of the folders whose pictures are `judged`.
    """
    if evidence is None:
        raise ConfigError("the configuration has no `evidence`, so no pictures are kept.")
    require_apart(output, judged)
    exported = export_marked(evidence, output, regions)
    lines = [f"{output / folder}: {count} pictures" for folder, count in sorted(exported.folders.items())]
    if exported.without_picture:
        lines.append(f"no picture is kept of {exported.without_picture} more marked parts")
    if annotations is not None:
        form = coco if annotations == Annotations.COCO else label_studio
        file = output / f"{annotations}.json"
        file.write_text(json.dumps(form(exported.pictures), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        lines.append(f"{file}: annotations")
    return lines
