"""Whatever pictures and folders are called, they train, are evaluated, and stand in a bundle."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assessment.evaluation import evaluate
from assessment.results import save
from core.config import parse_settings
from core.errors import ConfigError
from core.printable import caption
from export.build import ExportRequest, build_bundle
from runtime.bundles.calibration import load_calibration
from training.detector.checkpoint import load_checkpoint
from training.session import train
from training.settings import TrainingSettings

NAMES = (b"$\\frac{x$.png", b"\xfcber.png", b"a\nb.png")
"""A formula to whoever draws it, a name of another system's, and two lines."""


def test_odd_names_are_borne_from_the_pictures_to_the_bundle(
    parts: Path, tmp_path: Path, make_training_config: Callable[..., dict[str, Any]]
) -> None:
    shutil.copytree(parts, tmp_path / "parts")
    for folder in (tmp_path / "parts" / "train" / "good", *(tmp_path / "parts" / "test").iterdir()):
        for number, picture in enumerate(sorted(folder.iterdir())):
            name = NAMES[number % len(NAMES)].replace(b".", b"%d." % number)
            picture.rename(os.fsdecode(os.fsencode(folder) + b"/" + name))
    (kind,) = (folder for folder in (tmp_path / "parts" / "test").iterdir() if folder.name != "good")
    kind.rename(os.fsdecode(os.fsencode(kind) + b"\xfc$x^{$"))
    (tmp_path / "parts" / "train" / "good" / os.fsdecode(b"\xfd.png")).write_bytes(b"")  # told as skipped
    config = make_training_config(tmp_path / "parts", tmp_path / "run", epochs=1)
    checkpoint = train(TrainingSettings.model_validate(config))
    save(evaluate(load_checkpoint(checkpoint), str(tmp_path / "parts")), tmp_path)
    assert "\\udcfc$x^{$" in (tmp_path / "scores.csv").read_text(encoding="utf-8")
    bundle = build_bundle(ExportRequest(checkpoint, tmp_path / "bundle"))
    assert any("/\\udcfcber" in name for name in load_calibration(bundle).names)


def test_a_caption_is_one_line_and_the_end_of_a_long_name() -> None:
    assert caption("a\nb\udcfc.png") == "a\\nb\\udcfc.png"
    assert caption("x" * 60 + ".png", 24) == "…" + "x" * 19 + ".png"
    assert caption("x" * 20 + ".png", 24) == "x" * 20 + ".png"


def test_what_onnx_cannot_open_and_a_configuration_cannot_hold_is_refused_in_words(
    tmp_path: Path, make_training_config: Callable[..., dict[str, Any]]
) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xfc")
    with pytest.raises(ConfigError, match="is no name in UTF-8; choose another --output"):
        build_bundle(ExportRequest(tmp_path / "checkpoint", Path(odd)))
    with pytest.raises(ConfigError, match="`data`: it is no text in UTF-8"):
        parse_settings(make_training_config(Path(odd), tmp_path), TrainingSettings, "a.yaml")
