"""The report, as a colleague sees it: in a browser, from the file alone."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from assessment.evaluation import evaluate
from assessment.page import folded
from assessment.results import save
from tests.pictures import read_picture
from training.detector.checkpoint import load_checkpoint

CHROMIUM = shutil.which("chromium")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
def test_a_browser_shows_the_table_the_curves_and_the_pictures(checkpoint: Path, parts: Path, tmp_path: Path) -> None:
    save(evaluate(load_checkpoint(checkpoint), str(parts)), tmp_path)
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/browser"]
    command += ["--window-size=1280,2400", f"--screenshot={tmp_path}/page.png", f"file://{tmp_path}/report.html"]
    subprocess.run(command, capture_output=True, timeout=120, check=True, env=os.environ)
    page = read_picture(tmp_path / "page.png").astype(int)
    blue, green, red = page[..., 0], page[..., 1], page[..., 2]
    ink = (page.max(axis=2) < 120).any(axis=1)
    assert ink[:400].sum() > 60, "the heading and the table are text"
    assert ((green - red > 25) & (green - blue > 15)).sum() > 500, "the histogram of good parts is green"
    assert ((red - green > 40) & (red - blue > 40)).sum() > 500, "that of defective parts is red"
    assert np.flatnonzero(ink).max() > 900, "the pictures stand below"


def test_what_fits_a_page_is_folded_once() -> None:
    assert folded("Misses: 12", ["<figure>"] * 12, ["score 1"] * 12).count("<details") == 1
    assert folded("Misses: 13", ["<figure>"] * 13, ["score 1"] * 13).count("<details") == 3
