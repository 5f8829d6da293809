"""Fixtures: a bundle exported from the tests' checkpoint."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from export.build import ExportRequest, build_bundle

    return build_bundle(ExportRequest(checkpoint, tmp_path_factory.mktemp("export") / "disc.bundle")).path
