"""What is asked of TensorRT is there, from 10.3 to 11, and for RTX in 1.6 and 1.7: held against the bindings of NVIDIA.

The wheels carry the Python API; NVIDIA's libraries, which they need to be imported, cannot be installed everywhere, so
empty ones stand in for them. Nothing is built or run. `make test` fetches the wheels.
"""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

WHEELS = Path(sys.prefix) / "tensorrt-bindings"
SOURCES = ("export/engines.py", "runtime/inference/cuda/tensorrt_engine.py", "runtime/inference/cuda/tensorrt_lane.py")
RTX_ONLY = {
    *("num_compute_capabilities", "set_compute_capability", "ComputeCapability"),
    *("create_runtime_config", "CudaGraphStrategy", "cuda_graph_strategy", "get_engine_validity"),
    *("DynamicShapesKernelSpecializationStrategy", "dynamic_shapes_kernel_specialization_strategy"),
    *("create_runtime_cache", "set_runtime_cache", "serialize", "deserialize"),
}
"""What the code asks of TensorRT for RTX alone."""
SYMBOLS = (
    *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL"),
    *("createNvOnnxParser_INTERNAL", "createNvOnnxParserRefitter_INTERNAL", "getNvOnnxParserVersion"),
    *("getBuilderPluginRegistry", "getPluginRegistry", "initLibNvInferPlugins"),
)
CHECK = Path(__file__).with_name("tensorrt_api_check.py")


LIBRARIES = {
    "tensorrt_bindings": ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser"),
    "tensorrt_rtx_bindings": ("libtensorrt_rtx", "libtensorrt_onnxparser_rtx"),
}


def empty_libraries(folder: Path, module: str, major: str) -> None:
    source = folder / "empty.c"
    source.write_text("".join(f"void *{symbol}() {{ return 0; }}\n" for symbol in SYMBOLS))
    for name in LIBRARIES[module]:
        library = f"{name}.so.{major}"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / library, source, f"-Wl,-soname,{library}"], check=True)


def problems(bindings: Path, module: str, libraries: Path | None) -> list[str]:
    environment = {"PYTHONPATH": str(bindings), "LD_LIBRARY_PATH": str(libraries or "")}
    skipped = RTX_ONLY if module == "tensorrt_bindings" else {"nothing"}
    command = [sys.executable, str(CHECK), module, ",".join(sorted(skipped)), *SOURCES]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler for the empty libraries")
@pytest.mark.parametrize(
    ("package", "module", "version"),
    [
        ("tensorrt_cu12_bindings", "tensorrt_bindings", "10.3.0"),
        ("tensorrt_cu13_bindings", "tensorrt_bindings", "10.16.1.11"),
        ("tensorrt_cu13_bindings", "tensorrt_bindings", "11.4.0.106"),
        ("tensorrt_rtx_cu13_bindings", "tensorrt_rtx_bindings", "1.6.1.120"),
    ],
)
def test_tensorrt_has_all_that_is_asked_of_it(package: str, module: str, version: str, tmp_path: Path) -> None:
    wheels = list(WHEELS.glob(f"{package}-{version}-*.whl"))
    if not wheels:
        pytest.skip("the bindings are not here; `make test` fetches them")
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(tmp_path / "bindings")
    empty_libraries(tmp_path, module, version.partition(".")[0])
    assert problems(tmp_path / "bindings", module, tmp_path) == []


def test_tensorrt_for_rtx_has_all_that_is_asked_of_it() -> None:
    assert problems(Path(), "tensorrt_rtx_bindings", None) == []


def test_a_name_or_an_argument_that_is_not_there_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("builder.build_cuda_engine(network)\nconfig.set_timing_cache(cache, ignore=True)\ntrt.Bilder()\n")
    command = [sys.executable, str(CHECK), "tensorrt_rtx_bindings", "", str(wrong)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert found == [
        "wrong.py:1: Builder has no build_cuda_engine",
        "wrong.py:3: the module has no Bilder",
        "wrong.py:2: set_timing_cache takes no argument `ignore`",
    ]
