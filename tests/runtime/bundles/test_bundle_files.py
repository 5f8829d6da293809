"""What stands in a bundle beside the graph, of somebody who knows the format: it is whole, or refused."""

import io
import json
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.errors import ArtifactError
from core.files import sha256_of
from export.reference import REFERENCE, load_reference
from runtime.bundles.bundle import Bundle, load_bundle, read_manifest, save_manifest
from runtime.bundles.calibration import CALIBRATION, load_calibration
from runtime.bundles.known_pictures import KNOWN_PICTURES, load_known_pictures, save_known_pictures
from tests.runtime.pictures import SIZE, expected_errors, good_picture

GOOD = {"names": ["a", "b"], "errors": [[0.1] * 10] * 2, "doubted": [False, True]}


@pytest.fixture
def own(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "own"))


def sealed(path: Path, name: str, content: bytes) -> Bundle:
    """Put a file into the bundle, and its hash into the manifest."""
    (path / name).write_bytes(content)
    manifest = read_manifest(path)
    save_manifest(path, manifest.model_copy(update={"files": {**manifest.files, name: sha256_of(path / name)}}))
    return load_bundle(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps({**GOOD, "errors": [[0.1] * 10, [0.1] * 9]}).encode(),
        json.dumps({**GOOD, "errors": [[0.1] * 9] * 2}).encode(),
        json.dumps({**GOOD, "errors": [[-0.1] * 10] * 2}).encode(),
        json.dumps({**GOOD, "errors": [["NaN"] * 10] * 2}).encode(),
        json.dumps({**GOOD, "doubted": [False]}).encode(),
        json.dumps({**GOOD, "names": []}).encode(),
        json.dumps({**GOOD, "bursts": [0]}).encode(),
        json.dumps({**GOOD, "bursts": [0, 2**63]}).encode(),
        json.dumps({**GOOD, "digests": ["a"]}).encode(),
    ],
)
def test_a_calibration_that_is_none_is_refused(own: Path, content: bytes) -> None:
    assert load_calibration(sealed(own, CALIBRATION, json.dumps(GOOD).encode())).errors.shape == (2, 10)
    with pytest.raises(ArtifactError, match=CALIBRATION):
        load_calibration(sealed(own, CALIBRATION, content))


def test_of_a_calibration_of_a_newer_version_it_is_told_what_to_do(own: Path) -> None:
    """The manifest tells damage, and to export it once more by what exported it would help nobody."""
    with pytest.raises(ArtifactError, match=r"another version; .* or install here the one that exported it\.$"):
        load_calibration(sealed(own, CALIBRATION, json.dumps({**GOOD, "novelty": 1}).encode()))


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[" * 100_000, b"[]", b'{"a": "b"}', b'{"a": [1, 2]}', b'{"a": [[1], 2]}']
)
def test_a_reference_that_is_none_is_refused(own: Path, content: bytes) -> None:
    assert len(load_reference(sealed(own, REFERENCE, json.dumps({"a": [0.1] * 10}).encode()))) == 1
    with pytest.raises(ArtifactError, match=REFERENCE):
        load_reference(sealed(own, REFERENCE, content))


def test_what_is_altered_after_it_was_checked_is_not_read(own: Path) -> None:
    """As where another bundle, or a stranger's file, is put there while a station opens the one that it has checked."""
    sealed(own, KNOWN_PICTURES, pictures(own))
    sealed(own, CALIBRATION, json.dumps(GOOD).encode())
    bundle = sealed(own, REFERENCE, json.dumps({"a": [0.1] * 10}).encode())
    save_known_pictures(own, good_picture(1)[None], np.full((1, 10), 9.0, np.float32))
    (own / CALIBRATION).write_text(json.dumps({**GOOD, "errors": [[9.0] * 10] * 2}))
    (own / REFERENCE).write_text(json.dumps({"a": [9.0] * 10}))
    for read in (load_known_pictures, load_calibration, load_reference):
        with pytest.raises(ArtifactError, match="altered after it was checked"):
            read(bundle)


def pictures(own: Path) -> bytes:
    save_known_pictures(own, good_picture(1)[None], expected_errors(good_picture(1))[None].astype(np.float32))
    return (own / KNOWN_PICTURES).read_bytes()


def test_known_pictures_with_any_byte_damaged_are_refused_or_as_they_were(own: Path) -> None:
    whole = pictures(own)
    known = load_known_pictures(sealed(own, KNOWN_PICTURES, whole))
    assert known is not None
    for at in random.Random(1).sample(range(len(whole)), 100):
        damaged = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        try:
            found = load_known_pictures(sealed(own, KNOWN_PICTURES, damaged))
        except ArtifactError as error:
            assert KNOWN_PICTURES in str(error)  # noqa: PT017
        else:
            assert found is not None
            assert np.array_equal(found.frames_bgr_u8, known.frames_bgr_u8)


def test_known_pictures_that_unpack_without_end_are_refused_before_they_do(own: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("errors.npy", "w") as entry:
        for _ in range(20 * SIZE * SIZE * 3 // 2**16 + 20):
            entry.write(bytes(2**16))
    with pytest.raises(ArtifactError, match="larger than 16 pictures"):
        load_known_pictures(sealed(own, KNOWN_PICTURES, file.getvalue()))
