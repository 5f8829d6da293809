"""The units in docs: systemd finds nothing to say of them, they start with the machine, and run a program of ours."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UNITS = [
    (page.name, unit)
    for page in sorted((ROOT / "docs").glob("*.md"))
    for unit in re.findall(r"```ini\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
]
SYSTEMD = shutil.which("systemd-analyze")


@pytest.mark.parametrize(("page", "unit"), UNITS, ids=[page for page, _unit in UNITS])
def test_a_unit_starts_with_the_machine_and_runs_a_program_of_ours(page: str, unit: str) -> None:
    (program,) = re.findall(r"^ExecStart=/opt/p-wae/bin/(\S+)", unit, re.MULTILINE)
    assert program in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert re.search(r"^\[Install\]\nWantedBy=multi-user.target$", unit, re.MULTILINE), page


@pytest.mark.machine
@pytest.mark.skipif(SYSTEMD is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize(("page", "unit"), UNITS, ids=[page for page, _unit in UNITS])
def test_systemd_finds_nothing_to_say_of_a_unit(tmp_path: Path, page: str, unit: str) -> None:
    file = tmp_path / "here.service"
    file.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", unit, flags=re.MULTILINE))
    told = subprocess.run([str(SYSTEMD), "verify", str(file)], capture_output=True, text=True, check=False)
    assert (told.returncode, [line for line in told.stderr.splitlines() if "here.service" in line]) == (0, []), page
