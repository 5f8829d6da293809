"""Building a bundle: export, prove, build engines, and only then put it where it was asked for."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import ParityError
from core.progress import step
from export.draft import Draft
from export.engines import Target, build_engine, parse_target
from export.graph import export_onnx
from export.lowering import lower_to_fp16, lower_to_int8
from export.pictures import parity_set
from export.proof import Proof
from export.staging import put, require_replaceable, work_folder
from runtime.batching.settings import USUAL_BATCH
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.precision import Precision


@dataclass(frozen=True)
class ExportRequest:
    """What is asked of an export."""

    checkpoint: Path
    output: Path
    precision: Precision = "fp32"
    targets: tuple[str, ...] = ()
    """`sm89`, or `here`: see `export.engines`."""
    max_batch: int = USUAL_BATCH
    """The largest batch that engines take."""
    parity_data: str | None = None
    """None: the data that the checkpoint was trained on."""
    allow_flips: int = 0
    """How many pictures may change their verdict in a lower precision."""


def build_bundle(request: ExportRequest) -> Bundle:
    """Export a checkpoint into a bundle folder, after proving parity on real pictures.

    An older bundle at the output goes only when the new one is whole. Raises ParityError where the exported model
    judges differently; what was made then stays beside the output with the suffix `.refused`. Raises ArtifactError,
    BackendError, ConfigError or DataError for what is missing.
    """
    require_replaceable(request.output)
    refused = request.output.with_name(f"{request.output.name}.refused")
    require_replaceable(refused)
    if request.output.is_dir() and any(request.output.iterdir()):
        sys.stderr.write(f"{request.output}: the bundle there will be replaced; see --output\n")
    targets = [parse_target(text) for text in dict.fromkeys(request.targets)]
    with work_folder(request.output) as work:
        with step("load checkpoint"):
            draft = Draft(request.checkpoint, work, request.output)
        try:
            _make(draft, request, targets)
        except ParityError as error:
            put(work, refused)
            raise ParityError(f"{error} The bundle is refused; what was made is kept in {refused}.") from error
        put(work, request.output)
    shutil.rmtree(refused, ignore_errors=True)
    return load_bundle(request.output)


def _make(draft: Draft, request: ExportRequest, targets: Sequence[Target]) -> None:
    with step("judge real pictures with PyTorch"):
        proof = Proof(draft, parity_set(draft, request.parity_data), request.allow_flips)
    with step("export and check ONNX"):
        export_onnx(draft.checkpoint, draft.model)
    proof.prove("fp32")
    if request.precision == "fp16":
        lower_to_fp16(draft, proof)
    elif request.precision == "int8":
        lower_to_int8(draft, proof, bool(targets), request.allow_flips)
    for target in targets:
        with step(f"build engine {target.name}"):
            draft.engines.append(build_engine(draft.model, target, request.max_batch, draft.folder))
    draft.full_model.unlink(missing_ok=True)
    draft.save_answers(proof.exam)
    draft.save()
    if draft.engines:
        proof.prove_engine(request.precision, request.max_batch)
