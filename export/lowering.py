"""Lowering: a graph in fp16 or int8 takes the place of the one in full precision."""

from core.progress import console, step
from export.draft import Draft
from export.graph import export_onnx
from export.pictures import good_frames
from export.proof import Proof
from export.quantise import Quantiser, quantise
from runtime.bundles.known_pictures import TOLERANCE


def lower_to_fp16(draft: Draft, proof: Proof) -> None:
    """Put the graph in fp16. Raises ParityError where it judges differently."""
    draft.model.rename(draft.full_model)
    with step("export and check ONNX in fp16"):
        export_onnx(draft.checkpoint, draft.model, half=True)
    proof.prove("fp16")


def lower_to_int8(draft: Draft, proof: Proof, symmetric: bool, allow_flips: int) -> None:
    """Put as many convolutions in int8 as pass; `symmetric` is what TensorRT takes.

    Raises ParityError where that is less than half of them, DataError without the good pictures of the training.
    """
    draft.model.rename(draft.full_model)
    good = good_frames(draft.checkpoint.settings)
    with (
        step("quantise to int8 by what good pictures show"),
        Quantiser(draft.full_model, good, draft.checkpoint.thresholds, symmetric) as quantiser,
    ):
        layers = len(quantiser.layers)
        left = quantise(quantiser, draft.model, lambda: proof.passes("int8"))
    console.print(f"{layers - len(left)} of {layers} convolutions in int8", soft_wrap=True)
    proof.prove("int8")
    if len(left) > layers / 2:
        draft.refuse(
            f"only {layers - len(left)} of {layers} convolutions can be int8 with errors within "
            f"{TOLERANCE['int8']:.0%} of their thresholds and {allow_flips} changed verdicts; most is "
            f"lost in {', '.join(left[:3])}. Use --precision fp16 (fp32 on a CPU), or --allow-flips."
        )
