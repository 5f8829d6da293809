"""ONNX Runtime as it lies on a machine: two packages in one folder, remains, none at all. Each with its remedy."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from core.errors import BackendError
from runtime.inference.onnx_runtime import builds, import_onnx_runtime, require_one_build


def install(folder: Path, name: str, version: str, module: str) -> None:
    """Lay down what pip writes of a package."""
    information = folder / f"{name}-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (information / "top_level.txt").write_text(f"{module}\n")


def test_the_one_that_is_here_is_named_with_what_it_computes_on() -> None:
    assert len(builds()) == 1
    assert require_one_build().startswith("ONNX Runtime 1.")
    assert "CPU" in require_one_build()


def test_two_packages_in_one_folder_are_both_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "onnxruntime_gpu", "1.31.1", "onnxruntime")
    install(tmp_path, "onnxruntime_extensions", "0.14", "onnxruntime_extensions")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        BackendError, match=r"onnxruntime 1\..* and onnxruntime_gpu 1\.31\.1 are installed over each other"
    ) as told:
        require_one_build()
    assert "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install '.[cpu]'" in str(told.value)


def test_what_an_uninstalled_package_leaves_is_no_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    with pytest.raises(BackendError, match="only remains of .* pip uninstall -y onnxruntime onnxruntime-gpu, then"):
        import_onnx_runtime()


def test_none_at_all_is_told_with_both_remedies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "onnxruntime")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(BackendError, match=r"no ONNX Runtime here; pip install '\.\[cpu\]', or '\.\[cuda\]'"):
        import_onnx_runtime()
