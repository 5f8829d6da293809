"""The gateway is asked to end while it begins, which takes seconds."""

import signal
import sys
from pathlib import Path

import pytest
import yaml

from tests.processes import started
from tests.runtime.broker import free_port
from tests.runtime.waiting import WAIT_S

# Where the tests run in the background, SIGHUP or SIGINT may be ignored, and children inherit that.
PROGRAM = (
    "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); from gateway import opcua_gateway; opcua_gateway()"
)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 0), pytest.param(signal.SIGHUP, 0, marks=pytest.mark.long), (signal.SIGINT, 130)],
)
def test_a_signal_ends_it_while_it_reads_the_nodeset(number: signal.Signals, code: int, tmp_path: Path) -> None:
    config = {"stations": {"press-3": "plant/press-3"}, "broker": {"host": "127.0.0.1"}, "port": free_port()}
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "gateway.yaml")]
    with started(command) as process:
        assert process.stderr is not None
        assert "reading the nodeset" in process.stderr.readline()
        process.send_signal(number)
        _, told = process.communicate(timeout=WAIT_S)
    assert process.returncode == code
    assert "serving" not in told
    assert "Traceback" not in told
