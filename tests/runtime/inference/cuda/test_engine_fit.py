"""Which engine runs here: what does not fit is refused, with the reason and the remedy."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import BackendError
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.inference.cuda.engine_fit import Machine, choose_engine, look, why_not
from runtime.inference.cuda.gpu import Gpu
from runtime.inference.selection import PROVIDER_OF, choose
from runtime.inference.settings import BackendSettings
from tests.runtime.cuda_driver_stand_in import CAPABILITY, MULTIPROCESSORS, NAME
from tests.runtime.cuda_stand_in import engine
from tests.runtime.tensorrt_stand_in import VERSION

HERE = Machine(
    gpu=Gpu(NAME, CAPABILITY, MULTIPROCESSORS),
    platform="linux-x86_64",
    versions={"tensorrt": VERSION, "tensorrt_rtx": VERSION, "pycuda": "2026.1"},
    missing={},
)
BARE = replace(HERE, gpu=None, missing={"gpu": "no NVIDIA driver on this machine (libcuda.so.1)"})
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.fixture
def bundle(bundle_path: Path) -> Bundle:
    return load_bundle(bundle_path)


def having(bundle: Bundle, *engines: Any) -> Bundle:
    return bundle.model_copy(update={"manifest": bundle.manifest.model_copy(update={"engines": engines})})


@pytest.mark.parametrize("api", ["tensorrt", "tensorrt_rtx"])
def test_an_engine_built_for_this_machine_fits(bundle: Bundle, api: str) -> None:
    assert why_not(engine(bundle, api), bundle.manifest.model_sha256, HERE, 8) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"version": "10.16.1.11"}, f"built with tensorrt 10.16.1.11, here is {VERSION}; pip install tensorrt==10.16"),
        ({"platform": "linux-aarch64"}, "built for linux-aarch64, this is linux-x86_64"),
        ({"compute_capability": (12, 0)}, "built for sm120, this GPU is sm89"),
        ({"gpu": "NVIDIA L4"}, "built on NVIDIA L4, and only for that kind of GPU"),
        ({"multiprocessors": 8}, f"built on {NAME} with 8 multiprocessors, this one has {MULTIPROCESSORS}"),
        ({"model_sha256": "0" * 64}, "built from another model.onnx"),
        ({"batches": (1, 4, 7)}, "batches of 1 to 7, not 1 to 8; set batching.max_batch to 7"),
        ({"batches": (2, 4, 8)}, "batches of 2 to 8, not 1 to 8"),
    ],
)
def test_one_built_for_anything_else_is_refused_with_the_reason(
    bundle: Bundle, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(BackendError) as caught:
        choose_engine(having(bundle, engine(bundle, **changed)), HERE, 8)
    assert words in str(caught.value)
    assert f"`export-engine add {bundle.path} --target sm89 --max-batch 8`" in str(caught.value)
    assert f"`export-engine add {bundle.path} --target here --max-batch 8`" in str(caught.value)


@pytest.mark.parametrize("missing", ["tensorrt", "pycuda"])
def test_a_package_that_is_missing_is_named(bundle: Bundle, missing: str) -> None:
    versions = {name: version for name, version in HERE.versions.items() if name != missing}
    machine = replace(HERE, versions=versions, missing={missing: "libnvinfer.so.11: cannot open"})
    with pytest.raises(BackendError, match=f"{missing} is missing .libnvinfer.so.11: cannot open") as caught:
        choose_engine(having(bundle, engine(bundle)), machine, 8)
    assert all(Path(script).is_file() for script in re.findall(r"bash (\S+)", str(caught.value)))


def test_the_first_that_fits_is_taken_and_all_that_do_not_are_named(bundle: Bundle) -> None:
    other, right = engine(bundle, gpu="NVIDIA L4"), engine(bundle, "tensorrt_rtx")
    assert choose_engine(having(bundle, other, right), HERE, 8) == right
    with pytest.raises(BackendError, match=r"plan: built on NVIDIA L4.*\. engines/.*plan: built for sm75"):
        choose_engine(having(bundle, other, engine(bundle, compute_capability=(7, 5))), HERE, 8)


def test_without_a_gpu_or_an_engine_that_is_said(bundle: Bundle) -> None:
    with pytest.raises(BackendError, match="no NVIDIA driver on this machine"):
        choose_engine(having(bundle, engine(bundle)), BARE, 8)
    with pytest.raises(BackendError, match="the bundle has no engine. Build one"):
        choose_engine(bundle, HERE, 8)


def test_this_machine_is_looked_at_for_what_the_bundle_needs(bundle: Bundle) -> None:
    assert set(look(bundle).versions) <= {"pycuda"}
    machine = look(having(bundle, engine(bundle, "tensorrt_rtx"), engine(bundle)))
    assert {"tensorrt", "tensorrt_rtx", "pycuda"} == (machine.versions.keys() | machine.missing.keys()) - {"gpu"}
    assert (machine.gpu is None) == ("gpu" in machine.missing)
    assert machine.platform.startswith("linux-")


def test_auto_takes_the_fastest_that_is_there_and_says_why(bundle: Bundle) -> None:
    right, wrong = having(bundle, engine(bundle)), having(bundle, engine(bundle, gpu="NVIDIA L4"))
    chosen = choose("auto", right, 8, HERE, [CUDA, CPU])
    assert (chosen.kind, chosen.engine, chosen.is_second_best) == ("tensorrt", engine(bundle), False)
    chosen = choose("auto", wrong, 8, HERE, [CUDA, CPU])
    assert (chosen.kind, chosen.is_second_best) == ("onnxruntime-cuda", True)
    assert "built on NVIDIA L4, and only for that kind of GPU" in chosen.why
    chosen = choose("auto", wrong, 8, HERE, [CPU])
    assert (chosen.kind, chosen.is_second_best) == ("onnxruntime-cpu", True)
    assert "then pip install '.[cuda]'" in chosen.why
    chosen = choose("auto", bundle, 8, BARE, [CPU])
    assert (chosen.kind, chosen.is_second_best) == ("onnxruntime-cpu", False)
    assert "no NVIDIA driver" in chosen.why
    assert choose("auto", right, 8, BARE, [CPU]).is_second_best


def test_what_was_asked_for_is_never_replaced(bundle: Bundle) -> None:
    wrong = having(bundle, engine(bundle, gpu="NVIDIA L4"))
    with pytest.raises(BackendError, match="built on NVIDIA L4"):
        choose("tensorrt", wrong, 8, HERE, [CUDA, CPU])
    for kind in PROVIDER_OF:
        assert choose(kind, wrong, 8, HERE, [CPU]).kind == kind
        if kind == "onnxruntime-cpu":
            assert choose(kind, wrong, 8, BARE, [CPU]).kind == kind
        else:
            with pytest.raises(BackendError, match=f"{kind}: no NVIDIA driver .*set backend.kind: onnxruntime-cpu"):
                choose(kind, wrong, 8, BARE, [CPU])


def test_auto_is_what_is_asked_for_where_nothing_is() -> None:
    assert BackendSettings().kind == "auto"
