import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml

from core.config import parse_settings
from core.datasets.dataset import Sample
from core.datasets.frames import read_frames
from core.datasets.remarks import Remark, Truth, save_remarks
from core.errors import ArtifactError, ConfigError, DataError, PwaeError
from tests.pictures import write_parts
from training.detector.checkpoint import load_checkpoint
from training.detector.inspector import judge
from training.folds import assign
from training.session import train
from training.settings import TrainingSettings

MakeConfig = Callable[..., dict[str, Any]]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path).inspector.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def test_the_same_seed_gives_the_same_detector(parts: Path, tmp_path: Path, make_training_config: MakeConfig) -> None:
    runs = [make_training_config(parts, tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    a, b, c = (weights(train(TrainingSettings.model_validate(run))) for run in runs)
    assert same(a, b)
    assert not same(a, c)


def test_resuming_after_a_kill_gives_what_no_kill_gives(
    parts: Path, tmp_path: Path, make_training_config: MakeConfig
) -> None:
    unbroken = train(
        TrainingSettings.model_validate(make_training_config(parts, tmp_path / "unbroken", epochs=20, batch_size=2))
    )
    config = tmp_path / "killed.yaml"
    config.write_text(yaml.safe_dump(make_training_config(parts, tmp_path / "killed", epochs=20, batch_size=2)))
    command = [sys.executable, "-c", "from training.cli import train_model; train_model()", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    try:
        while not (tmp_path / "killed" / "resume" / "decoder-1.ckpt").exists() and time.monotonic() < deadline:
            with pytest.raises(subprocess.TimeoutExpired):  # it has not ended by itself
                process.wait(0.02)
    finally:
        process.kill()
        process.wait()
    assert not (tmp_path / "killed" / "checkpoint").exists()
    assert torch.load(tmp_path / "killed" / "resume" / "decoder-1.ckpt", weights_only=True)["epoch"] < 19
    subprocess.run([*command, "--resume"], check=True, capture_output=True)
    assert same(weights(unbroken), weights(tmp_path / "killed" / "checkpoint"))
    logs = [(tmp_path / run / "logs" / "decoder-1" / "metrics.csv").read_text() for run in ("unbroken", "killed")]
    assert logs[0] == logs[1]
    assert len(logs[0].splitlines()) == 1 + 20


def test_resume_without_a_run_is_refused(parts: Path, tmp_path: Path, make_training_config: MakeConfig) -> None:
    with pytest.raises(ArtifactError, match="nothing to resume from"):
        train(TrainingSettings.model_validate(make_training_config(parts, tmp_path)), resume=True)


def test_a_damaged_point_to_resume_from_is_told(parts: Path, tmp_path: Path, make_training_config: MakeConfig) -> None:
    settings = TrainingSettings.model_validate(make_training_config(parts, tmp_path))
    point = tmp_path / "resume" / "decoder-1.ckpt"
    point.parent.mkdir()
    torch.save({"settings": "whole"}, point)
    flipped = point.read_bytes().replace(b"whole", b"whale")
    for content in (b"", b"PK\x03\x04 cut", flipped):
        point.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"decoder-1\.ckpt: damaged; remove it"):
            train(settings, resume=True)


@pytest.mark.parametrize(("written_by", "told"), [({"version": "0.0.9"}, "0.0.9"), ({}, "an earlier one")])
def test_a_point_of_another_version_is_refused(
    tmp_path: Path, make_training_config: MakeConfig, written_by: dict[str, str], told: str
) -> None:
    settings = TrainingSettings.model_validate(make_training_config(tmp_path / "parts", tmp_path))
    point = tmp_path / "resume" / "decoder-1.ckpt"
    point.parent.mkdir()
    torch.save({**written_by, "settings": settings.model_dump_json()}, point)
    with pytest.raises(ArtifactError, match=rf"another version .*\({told}; this is .*remove {tmp_path}/resume"):
        train(settings, resume=True)


def test_too_few_good_pictures_are_refused_before_training(
    parts: Path, tmp_path: Path, make_training_config: MakeConfig
) -> None:
    config = make_training_config(parts, tmp_path, false_reject_rate=0.02)
    advice = "needs about 98; add pictures, or set .false_reject_rate: 0.05.\\."
    with pytest.raises(DataError, match=f"40 good pictures are too few.*{advice}"):
        train(TrainingSettings.model_validate(config))


def test_a_corrupt_picture_is_named_skipped_and_counted(
    tmp_path: Path, make_training_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = write_parts(tmp_path / "parts")
    (parts / "train" / "good" / "007.png").write_bytes(b"\x89PNG broken")
    path = train(TrainingSettings.model_validate(make_training_config(parts, tmp_path / "run", epochs=1)))
    assert "skipped" in (error := capsys.readouterr().err)
    assert "007.png" in error
    provenance = load_checkpoint(path).provenance
    assert provenance["skipped"] == [str(parts / "train" / "good" / "007.png")]
    assert provenance["pictures"] == 39


def test_several_folders_train_together_and_what_each_adds_is_told(
    parts: Path, tmp_path: Path, make_training_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    from assessment.evaluation import evaluate

    data = [str(parts), str(write_parts(tmp_path / "marked", train=43, good=1, defective=1))]
    config = make_training_config(parts, tmp_path / "run", data=data, epochs=1)
    checkpoint = load_checkpoint(train(TrainingSettings.model_validate(config)))
    assert f"good pictures: 40 of {data[0]}, then 3 of {data[1]}" in capsys.readouterr().err
    assert checkpoint.settings.data == tuple(data)
    assert checkpoint.provenance["folders"] == {data[0]: 40, data[1]: 3}
    for picture in (tmp_path / "marked").glob("test/*/*.png"):  # drawn as those of `parts`, of which a copy counts once
        picture.write_bytes(picture.read_bytes() + b"\0")
    metrics = evaluate(checkpoint, checkpoint.settings.data).metrics
    assert (metrics["data"], metrics["good"], metrics["defective"]) == (", ".join(data), 13, 9)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (5, "`data`: it is read as int, not as text; put it in quotes"),
        (["a", 5], "`data.1`: it is read as int, not as text"),
        ([], "`data`: it is empty; at least one is needed"),
    ],
)
def test_data_that_names_no_folder_is_refused_by_its_place_in_the_file(
    data: object, message: str, make_training_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_settings(make_training_config(tmp_path, tmp_path, data=data), TrainingSettings, "a.yaml")


def test_a_frozen_encoder_keeps_its_weights_and_its_maps_are_judged(
    parts: Path, tmp_path: Path, make_training_config: MakeConfig
) -> None:
    config = make_training_config(parts, tmp_path, loss={"cosine": 1.0}, epochs=1)
    config["network"]["encoder"] |= {"stages": [1, 2], "frozen": True}
    config["score"] = {"space": "features", "distance": "cosine", "worst_share": 0.1}
    trained = load_checkpoint(train(TrainingSettings.model_validate(config)))
    assert trained.inspector.network.feature_std.std() > 0
    assert trained.inspector.stage_scale.std() > 0
    assert trained.inspector.memory.abs().sum(dim=3).all()
    assert not any(p.requires_grad for p in trained.inspector.network.encoder.parameters())


def test_thresholds_are_set_from_what_the_detector_says_of_the_pictures_kept_aside(
    parts: Path, tmp_path: Path, make_training_config: MakeConfig
) -> None:
    trained = load_checkpoint(train(TrainingSettings.model_validate(make_training_config(parts, tmp_path))))
    samples = [Sample(Path(name)) for name in trained.calibration.names]
    frames = read_frames(samples, trained.settings.network.input)
    errors, _maps = judge(trained.inspector, frames.bgr_u8)
    assert errors == pytest.approx(trained.calibration.errors, rel=1e-4)


def test_every_good_picture_calibrates_judged_by_a_decoder_that_has_not_seen_it(
    parts: Path, tmp_path: Path, make_training_config: MakeConfig
) -> None:
    config = make_training_config(parts, tmp_path, loss={"cosine": 1.0}, folds=3, epochs=1)
    config["network"]["encoder"] |= {"stages": [1, 2], "frozen": True, "whole": True}
    config["score"] = {"space": "features", "distance": "cosine", "worst_share": 0.1}
    settings = TrainingSettings.model_validate(config)
    trained = load_checkpoint(train(settings))
    assert sorted(trained.calibration.names) == sorted(str(path) for path in (parts / "train" / "good").iterdir())
    assert trained.thresholds.parts + trained.thresholds.odd == len(trained.calibration.names) == 40
    assert len(trained.inspector.network.members) == 3
    held_out = assign(np.arange(40), settings)
    assert sorted(int(i) for fold in held_out for i in fold) == list(range(40))
    suspects = (tmp_path / "suspects.csv").read_text().splitlines()
    assert len(suspects) == 41
    assert (tmp_path / "suspects.png").stat().st_size > 1000


def test_pictures_that_stand_apart_are_told_and_neither_trained_on_nor_believed(
    tmp_path: Path, make_training_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_parts(tmp_path / "parts") / "train" / "good"
    planted = sorted(good.iterdir())[3:5]
    for number, path in enumerate(planted):
        cv2.imwrite(str(path), np.random.default_rng(number).integers(0, 255, (48, 48, 3), np.uint8))
    # A link is named as its folder has it.
    planted[0].symlink_to(planted[0].rename(tmp_path / "elsewhere.png"))
    marked = tmp_path / "marked" / "looked-at.png"
    marked.parent.mkdir()
    cv2.imwrite(str(marked), np.random.default_rng(9).integers(0, 255, (48, 48, 3), np.uint8))
    said = Remark(was=Truth.GOOD, by="Ada", note="", time="", event_id="1", verdict="NotOK", is_cut=False)
    save_remarks(marked.parent, {marked.name: said})
    config = make_training_config(tmp_path / "parts", tmp_path / "run", loss={"cosine": 1.0}, folds=3, epochs=60)
    config["data"] = [str(tmp_path / "parts"), str(marked.parent)]
    config["network"]["encoder"] |= {"stages": [1, 2], "frozen": True}
    config["score"] = {"space": "features", "distance": "cosine", "worst_share": 0.1}
    config["optimiser"] = {"name": "adamw", "learning_rate": 0.005}
    trained = load_checkpoint(train(TrainingSettings.model_validate(config)))
    names = trained.calibration.names
    assert trained.calibration.doubted[[names.index(str(path)) for path in planted]].all()
    assert not trained.calibration.doubted[names.index(str(marked))], "somebody has looked at it"
    assert trained.thresholds.odd >= 3
    assert trained.provenance["trained_on"] == len(names) - trained.calibration.doubted.sum() < len(names)
    told = capsys.readouterr().err
    assert "stands apart from the others and does not set" in told or "stand apart from the others and do not" in told
    assert "trained on however far they stand apart: 1 of the pictures; of these so far apart that they set no" in told
    lines = (tmp_path / "run" / "suspects.csv").read_text().splitlines()
    ends = {line.partition(",")[0]: line.split(",")[2:] for line in lines[1:4]}
    assert ends == {**{str(path): ["yes", "no"] for path in planted}, str(marked): ["yes", "yes"]}


def test_the_losses_go_to_tensorboard_where_asked_and_its_absence_is_told_before_any_work(
    parts: Path, tmp_path: Path, make_training_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings.model_validate(make_training_config(parts, tmp_path, epochs=1, tensorboard=True))
    train(settings)
    names = [path.name for path in (tmp_path / "logs" / "decoder-1").iterdir()]
    assert "metrics.csv" in names
    assert any(name.startswith("events.out.tfevents") for name in names)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match="needs the package tensorboard; pip install"):
        train(settings.model_copy(update={"data": "nowhere"}))


def test_a_resume_with_another_configuration_or_other_pictures_is_refused(
    parts: Path, tmp_path: Path, make_training_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = shutil.copytree(parts, tmp_path / "pictures")
    settings = TrainingSettings.model_validate(make_training_config(pictures, tmp_path / "run", epochs=1))

    def interrupted(*_: object) -> None:
        raise OSError("killed")

    monkeypatch.setattr("training.session.save_checkpoint", interrupted)
    with pytest.raises(OSError, match="killed"):
        train(settings)
    smaller = settings.network.model_copy(update={"width": 24})
    with pytest.raises(ConfigError, match="another configuration: `network.width`, `epochs` differ; put it back"):
        train(settings.model_copy(update={"epochs": 2, "network": smaller}), resume=True)
    with pytest.raises(ConfigError, match="another configuration: `bursts`"):
        train(settings.model_copy(update={"bursts": True}), resume=True)
    for same_again in (None, False):  # comes as far as before, also where one has answered what was asked
        with pytest.raises(OSError, match="killed"):
            train(settings.model_copy(update={"bursts": same_again}), resume=True)
    next((pictures / "train" / "good").iterdir()).unlink()
    with pytest.raises(ConfigError, match="resume: was written with other pictures than are there now"):
        train(settings, resume=True)


def test_a_loss_that_explodes_stops_with_the_term_and_the_remedy(
    parts: Path, tmp_path: Path, make_training_config: MakeConfig
) -> None:
    config = make_training_config(parts, tmp_path, optimiser={"name": "sgd", "learning_rate": 1e9})
    with pytest.raises(PwaeError, match=r"the \w+ loss became .* lower `optimiser.learning_rate`"):
        train(TrainingSettings.model_validate(config))


def test_collapsed_latents_are_told_early(
    parts: Path, tmp_path: Path, make_training_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_training_config(parts, tmp_path, epochs=1, optimiser={"name": "adamw", "learning_rate": 1e-12})
    config["network"]["latent_channels"] = 1
    train(TrainingSettings.model_validate(config))
    healthy = caplog.text
    torch.manual_seed(0)
    weights_file = tmp_path / "zeros.pth"
    from training.network.encoder import Encoder

    state = {key: torch.zeros_like(value) for key, value in Encoder("tiny", 4).network.state_dict().items()}
    torch.save(state, weights_file)
    config["network"]["encoder"]["weights"] = str(weights_file)
    train(TrainingSettings.model_validate(config))
    assert "collapsed" not in healthy
    assert "the latents have collapsed" in caplog.text
