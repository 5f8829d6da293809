"""ONNX Runtime as it lies on this machine: several packages bring its one module, and two of them ruin each other."""

from importlib.metadata import distributions
from types import ModuleType

from core.errors import BackendError, one_line

MODULE = "onnxruntime"
REMEDY = "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install '.[{extra}]'"
"""Both go first: what is left of one would pass for installed. `extra` is `cpu` or `cuda`."""


def import_onnx_runtime() -> ModuleType:
    """Import it. Raises BackendError with the remedy where it is not there, or not whole."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise BackendError("no ONNX Runtime here; pip install '.[cpu]', or '.[cuda]' with an NVIDIA GPU.") from None
    except ImportError as error:
        raise BackendError(f"ONNX Runtime does not load ({one_line(error)}); {REMEDY.format(extra='cpu')}.") from error
    if not hasattr(onnxruntime, "InferenceSession"):  # the folder stayed when the other package went
        raise BackendError(f"only remains of an uninstalled ONNX Runtime are here; {REMEDY.format(extra='cpu')}.")
    module: ModuleType = onnxruntime
    return module


def builds() -> list[str]:
    """Name the installed packages that bring the module, with their versions: one, where all is well."""
    found = set()
    for package in distributions():
        modules = (package.read_text("top_level.txt") or "").split()
        if MODULE in modules:
            found.add(f"{package.metadata['Name']} {package.version}")
    return sorted(found)


def require_one_build() -> str:
    """Say which is here. Raises BackendError where two lie over each other, or what is here does not load."""
    found = builds()
    if len(found) > 1:
        raise BackendError(
            f"{' and '.join(found)} are installed over each other in one folder: {REMEDY.format(extra='cpu')} "
            "('.[cuda]' with an NVIDIA GPU)."
        )
    ort = import_onnx_runtime()
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in ort.get_available_providers())
    return f"ONNX Runtime {ort.__version__} ({providers})"
