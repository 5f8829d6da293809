"""Fixtures: a bundle with an engine, and what stands in for a GPU that runs it."""

import shutil
from pathlib import Path

import pytest

from runtime.bundles.bundle import Bundle, load_bundle
from tests.runtime.cuda_stand_in import StandIn, add_engine, engine
from tests.runtime.frames_kernel import FramesKernel


@pytest.fixture(scope="session")
def frames_kernel(tmp_path_factory: pytest.TempPathFactory) -> FramesKernel:
    """The kernel that resizes frames, compiled for the CPU."""
    return FramesKernel(tmp_path_factory.mktemp("kernel"))


@pytest.fixture
def bundle(bundle_path: Path, tmp_path: Path) -> Bundle:
    """In a folder of its own."""
    copy = load_bundle(Path(shutil.copytree(bundle_path, tmp_path / "copy")))
    add_engine(copy, engine(copy))
    return load_bundle(copy.path)


@pytest.fixture
def gpu(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """In the place of pycuda and TensorRT."""
    return StandIn(bundle.model).install(monkeypatch)
