"""A real browser, without a window."""

import os
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium")


def dump(address: str, folder: Path, *options: str) -> str:
    """Open a page; give what stands on it once its scripts have run for some seconds."""
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/browser"]
    command += ["--window-size=1280,900", "--virtual-time-budget=4000", *options, "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=os.environ).stdout
