"""The doors of a bundle: what its manifest says, the graph, the known pictures and the thresholds set on site."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from onnx.external_data_helper import set_external_data

from core.errors import ArtifactError, BackendError
from core.files import sha256_of
from runtime.bundles.bundle import Bundle, load_bundle, save_manifest
from runtime.bundles.known_pictures import KNOWN_PICTURES, save_known_pictures
from runtime.bundles.manifest import MANIFEST, MODEL, Manifest
from runtime.inference.detector import open_detector, reopen
from runtime.inference.onnx_backend import OnnxBackend
from runtime.inference.settings import BackendSettings
from tests.runtime.pictures import GRID, SIZE, bad_picture, expected_errors, good_picture


@pytest.fixture
def own(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "own"))


def seal(path: Path, **changed: Any) -> None:
    """Write the manifest anew, whatever it says now, as somebody who knows the format."""
    old = Manifest.model_validate_json((path / MANIFEST).read_text())
    files = {file.name: sha256_of(file) for file in path.iterdir() if file.name != MANIFEST}
    save_manifest(path, old.model_copy(update={"files": files, **changed}))


def in_thresholds(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["thresholds"].update({key: value})


def at_top(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.update({key: value})


@pytest.mark.parametrize(
    "alter",
    [
        in_thresholds("values", [-0.5] * 10),
        in_thresholds("values", [0] * 10),
        in_thresholds("values", [1e40] * 10),
        in_thresholds("values", [0.1] * 9),
        in_thresholds("false_reject_rate", 7),
        in_thresholds("parts", -2),
        at_top("name", ""),
        at_top("name", "two\nlines"),
        at_top("name", "x" * 100_000),
        at_top("grid", 0),
        at_top("grid", -3),
        at_top("grid", 10**9),
        at_top("height", 0),
        at_top("width", 10**12),
        at_top("part_size", [0, 5]),
        at_top("files", {MODEL: "abc"}),
        at_top("files", {"../" + MODEL: "0" * 64}),
    ],
)
def test_an_absurd_manifest_is_refused_in_one_line(own: Path, alter: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads((own / MANIFEST).read_text())
    alter(content)
    (own / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ArtifactError) as refused:
        load_bundle(own)
    assert "digest" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_whatever_a_manifest_says_it_is_taken_whole_or_refused(bundle_path: Path, data: st.DataObject) -> None:
    content = json.loads((bundle_path / MANIFEST).read_text())
    key = data.draw(st.sampled_from(sorted(content)) | st.text(max_size=5))
    content[key] = value = data.draw(JSON)
    try:
        Manifest.model_validate(content)
        taken = True
    except ValueError:
        taken = False
    folder = bundle_path.with_name("altered")
    folder.mkdir(exist_ok=True)
    shutil.copy(bundle_path / MODEL, folder / MODEL)
    (folder / MANIFEST).write_text(json.dumps(content), encoding="utf-8", errors="surrogatepass")
    if taken and json.loads((bundle_path / MANIFEST).read_text()).get(key) == value:
        assert load_bundle(folder).manifest.name == "even-grey"
        return
    with pytest.raises(ArtifactError) as refused:
        load_bundle(folder)
    assert "\n" not in str(refused.value)


def test_a_name_that_no_disk_takes_is_refused(own: Path) -> None:
    seal(own, files={MODEL: sha256_of(own / MODEL), "\u00fc" * 200: "0" * 64})
    with pytest.raises(ArtifactError, match="is missing|cannot be read"):
        load_bundle(own)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b'{"name": ' + b"9" * 10_000 + b"}", b"null"])
def test_what_is_no_manifest_is_refused(own: Path, content: bytes) -> None:
    (own / MANIFEST).write_bytes(content)
    with pytest.raises(ArtifactError, match="damaged or of another version"):
        load_bundle(own)


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("format", "p-wae-bundle/3", "install here the one that exported it"),
        ("novelty", 1, "install here the one that exported it"),
        ("height", 0, "copy or export it again"),
    ],
)
def test_of_a_bundle_of_a_newer_version_it_is_told_what_to_do(own: Path, key: str, value: object, remedy: str) -> None:
    """To export it once more by what exported it would help nobody."""
    content = json.loads((own / MANIFEST).read_text())
    (own / MANIFEST).write_text(json.dumps(content | {key: value}))
    with pytest.raises(ArtifactError, match=rf"of another version \(`{key}`: .*{remedy}\.$"):
        load_bundle(own)


def test_a_bundle_whose_folder_cannot_be_looked_into_is_no_wrong_configuration(own: Path) -> None:
    """As one of somebody else's; where root runs the test, who may look: a name that is too long."""
    with pytest.raises(ArtifactError, match=r"no readable bundle\.json in it \(File name too long\)"):
        load_bundle(own / ("x" * 300))


def test_a_manifest_that_may_not_be_read_says_what_helps(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:  # for root may read all
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ArtifactError, match=r"in it \(Permission denied\); check its permissions\.$"):
        load_bundle(own)


def test_a_pipe_in_the_place_of_a_manifest_is_not_waited_for(own: Path) -> None:
    (own / MANIFEST).unlink()
    os.mkfifo(own / MANIFEST)
    with pytest.raises(ArtifactError, match="is no file"):
        load_bundle(own)


def test_numbers_that_lie_in_a_file_that_nobody_names_are_not_loaded(own: Path) -> None:
    graph = onnx.load(own / MODEL)
    (grey,) = (one for one in graph.graph.initializer if one.name == "grey")
    (own / "weights.bin").write_bytes(numpy_helper.to_array(grey).tobytes())
    set_external_data(grey, location="weights.bin")
    grey.ClearField("raw_data")
    (own / MODEL).write_bytes(graph.SerializeToString())
    seal(own, files={MODEL: sha256_of(own / MODEL)})
    with pytest.raises(ArtifactError, match="numbers in another file"):
        OnnxBackend(load_bundle(own), 2)


@pytest.mark.parametrize("goal", ["../bundle0/even-grey/model.onnx", "/etc/passwd", "linked.bin", "gone", "/dev/zero"])
def test_a_link_out_of_the_bundle_or_to_nowhere_is_refused(own: Path, goal: str) -> None:
    manifest = load_bundle(own).manifest
    (own / "linked.bin").symlink_to(goal)
    save_manifest(own, manifest.model_copy(update={"files": {**manifest.files, "linked.bin": "0" * 64}}))
    with pytest.raises(ArtifactError, match=r"linked\.bin") as refused:
        load_bundle(own)
    assert "\n" not in str(refused.value)
    assert ArtifactError.exit_code == 4


def test_a_graph_of_another_grid_is_refused(own: Path) -> None:
    bundle = load_bundle(own)
    thresholds = bundle.manifest.thresholds
    fewer = thresholds.model_copy(update={"values": thresholds.values[:5], "spreads": ()})
    seal(own, grid=2, thresholds=fewer)
    with pytest.raises(ArtifactError, match=r"gives errors \(2, 10\)"):
        OnnxBackend(load_bundle(own), 2)


ASKED = (None, BackendSettings(), 4)
"""No key, whatever backend there is, so many parts at once."""


def know(path: Path, errors: np.ndarray) -> None:
    frames = np.stack([good_picture(1), bad_picture(2)])
    save_known_pictures(path, frames, errors.astype(np.float32))
    seal(path)


def known_answers() -> np.ndarray:
    return np.stack([expected_errors(good_picture(1)), expected_errors(bad_picture(2))])


def test_a_backend_that_answers_as_the_bundle_knows_takes_over(own: Path) -> None:
    know(own, known_answers())
    detector = open_detector(own, *ASKED)
    detector.backend.close()
    reopen(detector.bundle, *ASKED).close()


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.2, 100.0, np.nan])
def test_a_backend_that_computes_something_else_never_takes_over(own: Path, factor: float) -> None:
    know(own, known_answers() * (1.0, *(1.0,) * 4, factor, *(1.0,) * 4))
    with pytest.raises(BackendError, match="differently from what the bundle says"):
        open_detector(own, *ASKED)


@pytest.mark.parametrize("wrong", [1, 2, 4])
def test_a_gpu_that_computes_one_size_of_batch_otherwise_never_takes_over(
    own: Path, wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(own, known_answers())

    class OnAGpu(OnnxBackend):
        def __init__(self, bundle: Bundle, max_batch: int) -> None:
            super().__init__(bundle, max_batch)
            self.kind = "tensorrt"

        def _run(self, frames_bgr_u8: np.ndarray) -> tuple[np.ndarray, Any]:
            errors, maps = super()._run(frames_bgr_u8)
            return errors * (1.1 if len(errors) == wrong else 1), maps

    monkeypatch.setattr(
        "runtime.inference.detector.open_backend", lambda _settings, bundle, max_batch: OnAGpu(bundle, max_batch)
    )
    with pytest.raises(BackendError, match=f"says, in a batch of {wrong}:"):
        open_detector(own, *ASKED)


def test_known_pictures_of_another_model_are_refused(own: Path) -> None:
    save_known_pictures(own, np.zeros((2, SIZE, SIZE + 1, 3), np.uint8), np.ones((2, GRID**2 + 1), np.float32))
    seal(own)
    with pytest.raises(ArtifactError, match="not of this model"):
        open_detector(own, *ASKED)
    (own / KNOWN_PICTURES).write_bytes(b"PK\3\4")
    seal(own)
    with pytest.raises(ArtifactError, match="damaged"):
        open_detector(own, *ASKED)


@pytest.mark.parametrize(
    ("training", "pictures", "folders"),
    [
        (None, None, {}),
        ({"pictures": 40, "data_sha256": "0" * 64, "losses": {}}, 40, {}),
        ({"pictures": 43, "folders": {"a": 40, "b": 3}, "trained": "2026-11-23T22:05:00Z"}, 43, {"a": 40, "b": 3}),
        ({"pictures": "many"}, None, {}),
        ("by hand", None, {}),
    ],
)
def test_what_a_bundle_tells_of_its_training_is_known_and_an_older_one_still_loads(
    own: Path, training: Any, pictures: int | None, folders: dict[str, int]
) -> None:
    before = json.loads((own / MANIFEST).read_text())
    assert "number" not in before, "the digest of older bundles stands"
    seal(own, provenance={} if training is None else {"training": training})
    manifest = load_bundle(own).manifest
    assert (manifest.number, manifest.label) == (None, "even-grey")
    assert (manifest.trained_on.pictures, manifest.trained_on.folders) == (pictures, folders)
    assert manifest.input.aspects == ()
    seal(own, number=7)
    assert load_bundle(own).manifest.label == "even-grey #7"
