"""The manifest: what `bundle.json` says of a bundle, and the names that its files and the graph's tensors have."""

import hashlib
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, StringConstraints

from core.pictures.geometry import UPRIGHT_CHARACTERS, ModelInput, Pose
from core.thresholds import Thresholds
from runtime.bundles.precision import Precision

EngineApi = Literal["tensorrt", "tensorrt_rtx"]
"""What an engine was built with, and is run by."""

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


class Record(BaseModel):
    """Base of what a bundle is described by: frozen, unknown keys refused."""

    # A refused bundle may tell of an infinite difference.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


Side = Annotated[int, Field(ge=1, le=16_384)]
Offset = Annotated[int, Field(ge=0, le=16_384)]
"""Of a picture, in pixels."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$", max_length=200)]
"""Of a file in a bundle, relative to it."""

Rings = Annotated[
    str, StringConstraints(min_length=UPRIGHT_CHARACTERS, max_length=UPRIGHT_CHARACTERS, pattern=r"^[A-Za-z0-9+/]*$")
]
"""Colours around a part's middle (core/pictures/upright.py)."""
Line = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Stands in every event, in logs and on the page."""


class OutputParity(Record):
    """How far one error of the exported model is from the trained model's.

    In shares of that error's threshold, or of the error itself where it is larger.
    """

    output: str
    """`image` or `tile 1,1`, row and column from 1."""
    largest_difference: float
    mean_difference: float


class Parity(Record):
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


class Engine(Record):
    """An engine built ahead, and what it was built for. Nothing else may run it."""

    file: str
    """Below the bundle: `engines/tensorrt_rtx-sm89.plan`."""
    api: EngineApi
    version: str
    """Of `api`, which runs an engine only in the version that built it."""
    compute_capability: tuple[int, int]
    """Of the GPU: (8, 9)."""
    gpu: str | None
    """The GPU it was built on, by name; None: built ahead for every GPU of that capability."""
    multiprocessors: PositiveInt | None = None
    """Of that GPU: a Jetson's name tells nothing of its size. None: built ahead, or by an older version."""
    platform: str
    """`linux-x86_64`, for one."""
    batches: tuple[PositiveInt, PositiveInt, PositiveInt]
    """The smallest batch that it takes, the one it is fastest with, the largest."""
    model_sha256: str
    """Of the ONNX graph that it was built from."""
    build_s: float


class TrainedOn(Record):
    """What a model learned from. Of an older bundle some of it is not known."""

    pictures: Annotated[int, Field(ge=0)] | None = None
    """Good ones, each counted once; those that set the thresholds are among them."""
    folders: dict[Line, Annotated[int, Field(ge=0)]] = {}
    """Of each folder or data set so many; empty where that is not known."""
    at: Line | None = None
    """RFC 3339, UTC."""
    data_sha256: Sha256 | None = None
    """Digest of the pictures themselves."""
    aspects: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(exclude=True)] = ()
    """See ModelInput. For the station alone, and not told on."""
    colours: Annotated[tuple[Line, ...], Field(exclude=True)] = ()
    """The same of these."""


class Manifest(Record):
    """What `bundle.json` says."""

    format: Literal["p-wae-bundle/2"] = "p-wae-bundle/2"
    name: Line
    number: Annotated[PositiveInt | None, Field(exclude_if=lambda number: number is None)] = None
    """Counts the bundles of this name that lay side by side. Left out of older ones: they have the same digest."""
    created: Line
    """RFC 3339, UTC."""
    height: Side
    width: Side
    grid: Annotated[int, Field(ge=1, le=256)]
    roi: tuple[Offset, Offset, Side, Side] | None = None
    """Of a frame, before all else, for cameras that set none: left, top, width, height; None: the whole frame."""
    part_size: tuple[Side, Side] | None = None
    """What is cut out of a frame, lying straight, before it is resized; None: the whole frame."""
    upright: Annotated[Rings | None, Field(exclude_if=lambda rings: rings is None)] = None
    """What is on the part when it lies upright. Left out where its long axis says how it lies."""
    bits: Annotated[int, Field(ge=8, le=16, exclude_if=lambda bits: bits == 16)] = 16
    """Of a grey level in picture files that keep 16. Left out where it is 16: older bundles have the same digest."""
    precision: Precision
    score_unit: Line
    """What an error is, in words: `mean squared pixel error`, for one."""
    thresholds: Thresholds
    parity: tuple[Parity, ...] = ()
    """What was proven when it was exported: the graph in full precision first, then as it is, then each engine."""
    engines: tuple[Engine, ...] = ()
    provenance: dict[str, Any]
    """Training data fingerprint, seed, config, versions: for people, not for programs."""
    refused: str | None = None
    """Why the export refused it; it is kept for looking at, and no station takes it."""
    files: dict[FileName, Sha256]
    """sha256 of every file beside `bundle.json`, by relative path."""
    digest: str = ""
    """sha256 of all of the above as written: a bundle is altered by exporting it again, never by hand."""

    @cached_property
    def input(self) -> ModelInput:
        """What the model sees of a picture."""
        pose = Pose(self.part_size, self.upright) if self.part_size else None
        known = self.trained_on
        return ModelInput(self.height, self.width, pose, self.roi, self.bits, known.aspects, known.colours)

    @property
    def label(self) -> str:
        """Its name and its number, for people."""
        return self.name if self.number is None else f"{self.name} #{self.number}"

    @property
    def trained_on(self) -> TrainedOn:
        """What the model learned from, as far as its provenance tells."""
        told = self.provenance.get("training")
        names = {"trained": "at"} | {key: key for key in ("pictures", "folders", "data_sha256", "aspects", "colours")}
        try:
            return TrainedOn(**{names[key]: value for key, value in dict(told or {}).items() if key in names})
        except (TypeError, ValueError):  # whoever wrote it had other words for it
            return TrainedOn()

    @property
    def model_sha256(self) -> str:
        """Digest of the ONNX graph: the identity of the detector."""
        return self.files[MODEL]

    def sealed(self) -> "Manifest":
        """Give the manifest with its own digest set."""
        content = self.model_dump_json(exclude={"digest"})
        return self.model_copy(update={"digest": hashlib.sha256(content.encode()).hexdigest()})
