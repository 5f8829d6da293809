"""The bundle: the only thing that passes from training to the edge. Its definition is owned here, by its consumer.

A folder with `model.onnx`, `bundle.json` and, where engines were built, `engines/*.plan`. `bundle.json` names the
sha256 of every other file; nothing is loaded whose hash differs. A site that holds a key may sign bundles; then
`bundle.sig` stands beside.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from core.errors import ArtifactError
from core.pose import PartSize
from core.thresholds import Thresholds
from runtime.signature import require_signature

MANIFEST = "bundle.json"
MODEL = "model.onnx"
SIGNATURE = "bundle.sig"
"""Ed25519 signature of `bundle.json`, by a key that the site holds."""

INPUT = "frames_bgr_u8"
"""Graph input: uint8 (N, H, W, 3), frames as OpenCV gives them, at the model's size."""
ERRORS = "errors"
"""Graph output: float32 (N, K + 1), e_0 of the image and e_1..e_K of its tiles, row-major (Eq. 22, 23)."""
ERROR_MAP = "error_map"
"""Graph output: float32 (N, h, w), the error by place; (h, w) is the map's own resolution."""


class _Record(BaseModel):
    # A refused bundle may tell of an infinite difference.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


Precision = Literal["fp32", "fp16", "int8"]
FileName = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$", max_length=200)]
"""Of a file in a bundle, relative to it."""


class OutputParity(_Record):
    """How far one error of the exported model is from the trained model's.

    In shares of that error's threshold, or of the error itself where it is larger.
    """

    output: str
    """`image` or `tile 1,1`, row and column from 1."""
    largest_difference: float
    mean_difference: float


class Parity(_Record):
    """How an exported model judges real pictures, beside the trained one."""

    precision: Precision
    backend: str
    """Who computed: `onnxruntime-1.32.0/cpu`, for one."""
    pictures: int
    largest_difference: float
    """Largest |difference| over all errors, in the same shares."""
    mean_difference: float
    verdict_flips: int
    auroc: float | None = None
    """Of the exported model on these pictures; None where they show only one kind of part."""
    auroc_trained: float | None = None
    images_per_s: float | None = None
    """On the machine that exported it: what the precisions cost beside one another, no promise for another machine."""
    outputs: tuple[OutputParity, ...] = ()


class Engine(_Record):
    """An engine built ahead, and what it was built for. Nothing else may run it."""

    file: str
    """Below the bundle: `engines/tensorrt_rtx-sm89.plan`."""
    api: Literal["tensorrt", "tensorrt_rtx"]
    version: str
    """Of `api`, which runs an engine only in the version that built it."""
    compute_capability: tuple[int, int]
    """Of the GPU: (8, 9)."""
    gpu: str | None
    """The GPU it was built on, by name; None: built ahead for every GPU of that capability."""
    platform: str
    """`linux-x86_64`, for one."""
    batches: tuple[int, int, int]
    """The smallest batch that it takes, the one it is fastest with, the largest."""
    model_sha256: str
    """Of the ONNX graph that it was built from."""
    build_s: float


class Manifest(_Record):
    """What `bundle.json` says."""

    format: Literal["p-wae-bundle/2"] = "p-wae-bundle/2"
    name: str
    created: str
    """RFC 3339, UTC."""
    height: int
    width: int
    grid: int
    part_size: PartSize | None = None
    """What is cut out of a frame, lying straight, before it is resized; None: the whole frame."""
    precision: Precision
    score_unit: str
    """What an error is, in words: `mean squared pixel error`, for one."""
    thresholds: Thresholds
    parity: tuple[Parity, ...] = ()
    """What was proven when it was exported: the graph in full precision first, then as it is, then each engine."""
    engines: tuple[Engine, ...] = ()
    provenance: dict[str, Any]
    """Training data fingerprint, seed, config, versions: for people, not for programs."""
    refused: str | None = None
    """Why the export refused it; it is kept for looking at, and no station takes it."""
    files: dict[FileName, str]
    """sha256 of every file beside `bundle.json`, by relative path."""
    digest: str = ""
    """sha256 of all of the above as written: a bundle is altered by exporting it again, never by hand."""

    @property
    def model_sha256(self) -> str:
        """Digest of the ONNX graph: the identity of the detector."""
        return self.files[MODEL]

    def sealed(self) -> "Manifest":
        """Give the manifest with its own digest set."""
        content = self.model_dump_json(exclude={"digest"})
        return self.model_copy(update={"digest": hashlib.sha256(content.encode()).hexdigest()})


class Bundle(_Record):
    """A bundle on disk whose hashes were checked."""

    path: Path
    manifest: Manifest

    @property
    def model(self) -> Path:
        """The ONNX graph."""
        return self.path / MODEL


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_bundle(path: Path, public_key: Path | None = None, refused_too: bool = False) -> Bundle:
    """Read a bundle and check every hash, and with a `public_key` (PEM) the site's signature.

    One that the export refused is for looking at, with `refused_too`. Raises ArtifactError where it is missing,
    incomplete, altered, refused, of another format, or not signed with that key; ConfigError where the key itself
    cannot be used.
    """
    content = _read(path)
    if public_key is not None:
        require_signature(path / SIGNATURE, content, public_key)
    manifest = _parse(content, path)
    if manifest.refused and not refused_too:
        raise ArtifactError(f"{path}: its export was refused: {manifest.refused} Export it again.")
    for name, expected in manifest.files.items():
        file = path / name
        if not file.resolve().is_relative_to(path.resolve()):
            raise ArtifactError(f"{path}: {MANIFEST} names {name}, which lies outside the bundle; do not use it.")
        if not file.is_file():
            raise ArtifactError(f"{path}: {name} is missing; copy the whole bundle again.")
        try:
            found = sha256_of(file)
        except OSError as error:
            raise ArtifactError(f"{path}: {name} cannot be read ({error.strerror}); mend its permissions.") from error
        if found != expected:
            raise ArtifactError(f"{path}: {name} is damaged or was altered (sha256 differs); copy the bundle again.")
    return Bundle(path=path, manifest=manifest)


def read_manifest(path: Path) -> Manifest:
    """Read what the bundle folder `path` says of itself; its files are not looked at. Raises ArtifactError."""
    return _parse(_read(path), path)


def save_manifest(path: Path, manifest: Manifest) -> None:
    """Write `bundle.json` into the bundle folder `path`, last and in one step, so that no half bundle looks whole."""
    temporary = path / f".{MANIFEST}.part"
    temporary.write_text(manifest.sealed().model_dump_json(indent=2) + "\n", encoding="utf-8")
    temporary.replace(path / MANIFEST)


def _read(path: Path) -> bytes:
    try:
        return (path / MANIFEST).read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{path}: no readable {MANIFEST} in it ({error.strerror}); give a folder that `export-engine` wrote."
        ) from error


def _parse(content: bytes, path: Path) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(
            f"{path}: {MANIFEST} is damaged or of another version (`{where}`: {first['msg']}); export it again."
        ) from error
    if manifest != manifest.sealed():
        raise ArtifactError(f"{path}: {MANIFEST} is damaged or was altered (digest differs); copy or export it again.")
    named = {MODEL, *(engine.file for engine in manifest.engines)}
    if len(manifest.thresholds.values) != manifest.grid**2 + 1 or not named <= set(manifest.files):
        raise ArtifactError(f"{path}: {MANIFEST} contradicts itself (thresholds, grid, files); export it again.")
    return manifest
