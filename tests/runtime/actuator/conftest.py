"""A PLC that is switched over Modbus TCP."""

from collections.abc import Iterator

import pytest

from tests.runtime.plc import Plc


@pytest.fixture
def plc() -> Iterator[Plc]:
    plc = Plc()
    plc.start()
    yield plc
    plc.stop()
