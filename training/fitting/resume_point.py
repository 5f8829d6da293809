"""Where a training that was interrupted goes on: a point for each decoder, until the checkpoint is written."""

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ArtifactError, ConfigError
from core.files import require_checksums, write_whole

if TYPE_CHECKING:
    from training.settings import TrainingSettings

FOLDER = "resume"
PICTURES = "pictures"
"""Next to the points: the fingerprint of what they were trained on."""


def resume_point(output: Path, member: int) -> Path:
    """Say where member `member` (0 the first) of a training into `output` leaves its point."""
    return output / FOLDER / f"decoder-{member + 1}.ckpt"


def resume_points(output: Path) -> list[Path]:
    """List the points that are there."""
    return sorted((output / FOLDER).glob("decoder-*.ckpt"))


def read_point(path: Path) -> dict[str, Any]:
    """Load a point; the last of a member holds what it has learnt. Raises ArtifactError where it cannot be read."""
    import torch

    try:
        require_checksums(path)
        point = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror or error}); check its permissions.") from error
    except Exception as error:  # torch, zip and pickle errors share no base class
        raise ArtifactError(f"{path}: damaged; remove it, and --resume begins that decoder again.") from error
    if not isinstance(point, dict):
        raise ArtifactError(f"{path}: no point of a training; remove it, and --resume begins that decoder again.")
    return point


def clear_resume_points(output: Path) -> None:
    """Delete the points: the training is done, or begins again."""
    shutil.rmtree(output / FOLDER, ignore_errors=True)


def require_nothing_kept(settings: "TrainingSettings") -> None:
    """Raises ConfigError where a checkpoint stands, or a training was interrupted, which would be lost."""
    if points := resume_points(Path(settings.output)):
        raise ConfigError(
            f"{points[0].parent}: keeps a training that was interrupted; give --resume to go on with it, or --replace "
            "to begin again."
        )
    if (standing := settings.checkpoint).exists():
        raise ConfigError(f"{standing}: exists already and is kept; set another `output`, or give --replace.")


def require_resumable(output: Path, settings: "TrainingSettings") -> None:
    """Check that points are there, of this program's version and of this configuration.

    Raises ArtifactError where there is none or it is of another version, ConfigError where it was another configuration
    that was interrupted.
    """
    points = resume_points(output)
    if not points:
        raise ArtifactError(f"{output / FOLDER}: nothing to resume from; run without --resume.")
    ours = _as_trained(settings.model_dump_json())
    for point in points:
        content = read_point(point)
        if (theirs := content.get("version", "an earlier one")) != (here := version("p-wae")):
            raise ArtifactError(
                f"{point}: was written by another version of this program ({theirs}; this is {here}), which may train "
                f"otherwise; go on with that one, or remove {output / FOLDER} and begin again."
            )
        if keys := _differing(_as_trained(content.get("settings", "{}")), ours):
            raise ConfigError(
                f"{point}: was written with another configuration: {', '.join(keys)} differ; put it back as it was, or "
                "begin again with --replace instead."
            )


def _as_trained(settings: str) -> dict[str, Any]:
    """Read settings; with `bursts` left out one trains as with false, which answers what the training asks."""
    content: dict[str, Any] = json.loads(settings)
    return content | {"bursts": bool(content.get("bursts"))}


def _differing(one: Any, other: Any, key: str = "") -> list[str]:
    """Name the keys, as a configuration has them, whose values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        below = {name: f"{key}.{name}" if key else name for name in {**one, **other}}
        return [each for name, where in below.items() for each in _differing(one.get(name), other.get(name), where)]
    return [] if one == other else [f"`{key}`"]


def note_pictures(output: Path, fingerprint: str) -> None:
    """Keep, for whoever resumes, which pictures this training began with."""
    (output / FOLDER).mkdir(parents=True, exist_ok=True)
    write_whole(output / FOLDER / PICTURES, fingerprint.encode())


def require_same_pictures(output: Path, fingerprint: str) -> None:
    """Raises ConfigError where it were other pictures: those are dealt into folds anew.

    Then a decoder that is trained already would judge pictures that it has trained on.
    """
    noted = output / FOLDER / PICTURES
    if not noted.is_file() or noted.read_text(encoding="utf-8", errors="replace") != fingerprint:
        raise ConfigError(
            f"{output / FOLDER}: was written with other pictures than are there now, or with them in another order; "
            "put them back as they were, or begin again with --replace instead."
        )
