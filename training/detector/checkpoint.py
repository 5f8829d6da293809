"""The checkpoint: everything an export needs, in one file that loads without running code."""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from core.calibration import Calibration
from core.errors import ArtifactError
from core.files import require_checksums, write_whole
from core.mistaken import no_checkpoint
from core.pictures.geometry import ModelInput
from core.thresholds import Thresholds
from training.detector.inspector import Inspector
from training.network.network import Network
from training.settings import TrainingSettings

FORMAT = "p-wae-checkpoint/3"


@dataclass(frozen=True)
class Checkpoint:
    """A trained, calibrated detector."""

    inspector: Inspector
    settings: TrainingSettings
    thresholds: Thresholds
    calibration: Calibration
    provenance: dict[str, Any]
    """Data fingerprint, counts, skipped files, versions, final losses: JSON values."""

    @property
    def input(self) -> ModelInput:
        """What the model sees of a picture; of an older checkpoint shapes and colours that trained are not known."""
        aspects, colours = (tuple(self.provenance.get(name, ())) for name in ("aspects", "colours"))
        return replace(self.settings.network.input, aspects=aspects, colours=colours)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in one step, so that a kill leaves the old one or the new one. Raises OSError."""
    members = checkpoint.calibration.members
    content = {
        "format": FORMAT,
        "settings": checkpoint.settings.model_dump_json(),
        "thresholds": checkpoint.thresholds.model_dump_json(),
        "calibrated_on": list(checkpoint.calibration.names),
        "calibration_errors": torch.from_numpy(checkpoint.calibration.errors),
        "doubted": torch.from_numpy(checkpoint.calibration.doubted),
        "bursts": torch.from_numpy(checkpoint.calibration.bursts),
        "digests": list(checkpoint.calibration.digests),
        "members": None if members is None else torch.from_numpy(members),
        "provenance": json.dumps(checkpoint.provenance),
        "weights": {name: tensor.cpu() for name, tensor in checkpoint.inspector.state_dict().items()},
    }
    stored = io.BytesIO()  # into a file on a full disk torch raises what is no OSError
    torch.save(content, stored)
    write_whole(path, stored.getbuffer())


def _require_one_whole(inspector: Inspector, thresholds: Thresholds, calibration: Calibration) -> None:
    """Refuse what would judge by a part of its thresholds, or give no number. Raises ValueError."""
    outputs, parts = inspector.network.settings.grid**2 + 1, len(calibration.names)
    if len(thresholds.values) != outputs or calibration.errors.shape != (parts, outputs):
        raise ValueError("thresholds or calibration are another network's")
    is_whole = calibration.doubted.shape == calibration.bursts.shape == (parts,)
    if not is_whole or len(calibration.digests) not in (0, parts):
        raise ValueError("the calibration does not belong together")
    if not all(bool(tensor.isfinite().all()) for tensor in inspector.state_dict().values()):
        raise ValueError("weights that are no numbers")


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, with `weights_only=True`.

    Raises ArtifactError where it is missing, damaged, or of another kind.
    """
    if path.is_dir():
        what = no_checkpoint(path) or "is a folder; give the file `checkpoint` that `train-model` writes"
        raise ArtifactError(f"{path}: {what}.")
    if not path.is_file():
        raise ArtifactError(f"{path}: no such checkpoint; `train-model` writes one into its output folder.")
    try:
        require_checksums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != FORMAT:
            raise ArtifactError(f"{path}: a checkpoint of format {content['format']}, not {FORMAT}; train it again.")
        return _put_together(content)
    except ArtifactError:
        raise
    except ValidationError as error:
        first = error.errors()[0]
        raise ArtifactError(f"{path}: settings of another version (`{first['loc']}`: {first['msg']}).") from error
    except PermissionError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); check its permissions.") from error
    except Exception as error:  # torch, zip and pickle errors share no base class
        what = no_checkpoint(path) or "damaged, or not a P-WAE checkpoint; train it again or copy it again"
        raise ArtifactError(f"{path}: {what}.") from error


def _put_together(content: dict[str, Any]) -> Checkpoint:
    """Make a checkpoint of what `save_checkpoint` wrote, perhaps that of before. Raises anything where it is else."""
    written = json.loads(content["settings"])
    written["score"].setdefault("memory", 0)  # one of before there was any
    settings = TrainingSettings.model_validate_json(json.dumps(written))
    thresholds = Thresholds.model_validate_json(content["thresholds"])
    provenance = json.loads(content["provenance"])
    names, errors = tuple(content["calibrated_on"]), content["calibration_errors"].numpy()
    # One of before bursts were looked for takes each picture for another part's.
    bursts = content["bursts"].numpy() if "bursts" in content else np.arange(len(names))
    judged_by = content["members"].numpy() if content.get("members") is not None else None
    digests = tuple(content.get("digests", ()))
    calibration = Calibration(names, errors, content["doubted"].numpy(), bursts, judged_by, digests)
    members = {name.split(".")[2] for name in content["weights"] if name.startswith("network.members.")}
    network = Network(settings.network, content["weights"]["network.permutations"], len(members))
    inspector = Inspector(network, settings.score)
    if settings.score.memory:
        groups, places = content["weights"]["memory"].shape[1:3]
        inspector.memory = torch.empty(len(inspector.memory), groups, places, inspector.memory.shape[3])
    inspector.load_state_dict(content["weights"])
    _require_one_whole(inspector, thresholds, calibration)
    return Checkpoint(inspector, settings, thresholds, calibration, provenance)
