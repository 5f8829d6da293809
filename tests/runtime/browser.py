"""A real browser, without a window."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium")


def dump(address: str, folder: Path, *options: str) -> str:
    """Open a page; give what stands on it once its scripts have run for some seconds."""
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/browser"]
    command += ["--window-size=1280,900", "--virtual-time-budget=4000", *options, "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=os.environ).stdout


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A browser to click and type in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
