"""Fixtures: the small bundle of the runtime's tests, made by hand."""

from pathlib import Path

import pytest

from tests.runtime.small_bundle import write_bundle


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "even-grey")
