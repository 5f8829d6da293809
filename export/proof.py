"""The proof: whatever is to compute a draft answers the same pictures as PyTorch, and is refused where it differs."""

from core.errors import BackendError
from core.progress import console, step
from export.draft import Draft
from export.layer_difference import worst_layer
from export.parity import ParitySet, examine, faults
from runtime.bundles.manifest import Parity
from runtime.bundles.precision import Precision
from runtime.inference.backend import Backend
from runtime.inference.cuda.engine_fit import choose_engine, look
from runtime.inference.onnx_backend import OnnxBackend
from runtime.inference.selection import at_work

BLAME_PICTURES = 2
"""All that a graph computes of them is held in memory."""


class Proof:
    """A draft beside the pictures of its proof."""

    def __init__(self, draft: Draft, exam: ParitySet, allow_flips: int) -> None:
        """`allow_flips` pictures may change their verdict in a lower precision."""
        self.exam = exam
        self._draft = draft
        self._allow_flips = allow_flips

    def prove(self, precision: Precision) -> None:
        """Prove the draft's graph, which is in `precision`. Raises ParityError where it differs."""
        with step(f"compare {precision} with PyTorch on {len(self.exam.samples)} pictures"):
            fault = self._note(self._examine_graph(precision))
        if fault and precision == "fp32":
            self._draft.refuse(f"{fault} The fault is in the export itself, not in a precision.")
        elif fault:
            blame = worst_layer(self._draft.full_model, self._draft.model, self.exam.frames_bgr_u8[:BLAME_PICTURES])
            self._draft.refuse(f"{fault} {blame}.")

    def passes(self, precision: Precision) -> bool:
        """Say whether the draft's graph as it is would be proven."""
        return self._fault(self._examine_graph(precision)) is None

    def prove_engine(self, precision: Precision, max_batch: int) -> None:
        """Prove an engine that the GPU at hand runs, else say that none was proven. Raises ParityError."""
        from runtime.inference.cuda.tensorrt_backend import TensorRtBackend

        bundle = self._draft.save()
        machine = look(bundle)
        try:
            engine = choose_engine(bundle, machine, max_batch)
        except BackendError as error:
            why = error if machine.gpu else machine.missing["gpu"]
            console.print(f"engines: not run here ({why}); on the box: export-engine verify", soft_wrap=True)
            return
        with step("compare the engine with PyTorch"):
            parity = self._examine(TensorRtBackend(bundle, engine, max_batch), precision)
        fault = self._note(parity)
        if fault:
            self._draft.refuse(f"{parity.backend}: {fault}")

    def _examine_graph(self, precision: Precision) -> Parity:
        return self._examine(OnnxBackend(self._draft.bare(), max_batch=8), precision)

    def _examine(self, backend: Backend, precision: Precision) -> Parity:
        with at_work(backend):
            return examine(backend, self.exam, precision)

    def _note(self, parity: Parity) -> str | None:
        """Let the manifest tell of it; returns why it is no proof."""
        self._draft.parities.append(parity)
        self._draft.save()
        return self._fault(parity)

    def _fault(self, parity: Parity) -> str | None:
        return faults(parity, 0 if parity.precision == "fp32" else self._allow_flips)
