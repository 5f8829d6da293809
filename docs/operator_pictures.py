"""Takes the pictures of docs/operator.md: a station with generated parts, looked at with the machine's own Chromium.

PYTHONPATH=. python docs/operator_pictures.py [--all DIR]     # DIR: every page as PNG at two widths, to look at
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from export.build import ExportRequest, build_bundle
from tests.conftest import training_config
from tests.pictures import draw_part, read_picture
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.browser import chromium
from tests.runtime.command import run_command, write_config
from tests.runtime.waiting import wait_until
from tests.runtime.web import ask, is_up, post
from training.session import train
from training.settings import TrainingSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DOCS = Path(__file__).resolve().parent
SIDE, GOOD = 480, 40
"""Pixels of a camera's picture, and good parts of each camera."""
SCRATCHED = (12, 25, 33)
TOKEN = "the-right-to-mark"  # noqa: S105
LARGEST_BYTES = 60_000
WIDE, PHONE = (1440, 900), (390, 844)


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", type=Path, help="every page as PNG, to look at, in place of the documents' pictures")
    everything: Path | None = parser.parse_args().all
    with tempfile.TemporaryDirectory() as folder, station(Path(folder)) as address, chromium() as browser:
        rejected = mark_some(address)
        if everything is None:
            for name, path, size in (
                ("live", "", (1200, 760)),
                ("history", "history", (1200, 560)),
                ("part", f"event/{rejected}", (1200, 820)),
                ("phone", f"event/{rejected}", PHONE),
            ):
                write_small(DOCS / f"operator_{name}.webp", shown(browser, address, path, size))
            return
        everything.mkdir(parents=True, exist_ok=True)
        for path in ("", "camera/top", "history", "history?verdict=all", f"event/{rejected}", "docs"):
            for size in (WIDE, PHONE):
                name = f"{size[0]}-{path.partition('/')[0].replace('?', '-') or 'live'}.png"
                (everything / name).write_bytes(shown(browser, address, path, size))


@contextmanager
def station(folder: Path) -> Iterator[str]:
    """A station that has judged parts of two cameras; gives its page's address."""
    broker, port = Mosquitto(folder), free_port()
    broker.start()
    (folder / "token").write_text(f"{TOKEN}\n")
    cameras: dict[str, Any] = {}
    for camera, seed in (("top", 1000), ("side", 3000)):
        (folder / camera).mkdir()
        cameras[camera] = {"kind": "watch", "path": str(folder / camera), "part_id_pattern": "^(SN\\d+)"}
        for number in range(GOOD):
            part = draw_part(seed + number, SIDE, camera == "top" and number in SCRATCHED)
            cv2.imwrite(str(folder / camera / f"SN{seed + number}.png"), part)
    config = write_config(
        folder,
        learn(folder),
        cameras,
        broker={"host": "127.0.0.1", "port": broker.port},
        evidence={"folder": str(folder / "evidence"), "min_free_bytes": 0, "every_nth_ok": 1},
        view={"port": port, "mark_token_file": str(folder / "token")},
    )
    config.write_text(config.read_text().replace("test-1", "press-3"))
    process, address = run_command(config), f"http://127.0.0.1:{port}"
    wait_until(lambda: process.poll() is not None or is_up(address))
    wait_until(lambda: len(found(address, "all")) == 2 * GOOD)
    yield address
    process.terminate()
    process.communicate()
    broker.stop()


def learn(folder: Path) -> Path:
    """Train and export a model of such parts."""
    for number in range(60):
        (folder / "good").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "good" / f"{number}.png"), draw_part(number, SIDE))
    config = training_config(folder / "good", folder / "run", epochs=30, name="disc", false_reject_rate=0.04)
    config["network"] |= {"height": 144, "width": 144}
    config["optimiser"] = {"name": "adamw", "learning_rate": 0.005}
    checkpoint = train(TrainingSettings.model_validate(config))
    return build_bundle(ExportRequest(checkpoint, folder / "disc.bundle")).path


def found(address: str, verdict: str) -> list[dict[str, Any]]:
    """Ask for the judged parts."""
    content: list[dict[str, Any]] = json.loads(ask(f"{address}/history.json?verdict={verdict}&limit=1000")[1])
    return content


def mark_some(address: str) -> str:
    """Mark what was rejected; gives the event of a part that shows why."""
    rejected = found(address, "NotOK")
    scratched = [each for each in rejected if int(each["part_id"][2:]) - 1000 in SCRATCHED]
    for each in rejected:
        was, note = ("bad", "scratch") if each in scratched else ("good", "")
        said = f'{{"was": "{was}", "by": "Ada", "note": "{note}"}}'
        post(
            f"{address}/events/{each['id']}/mark",
            said.encode(),
            **{"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
    wait_until(lambda: ask(f"{address}/evidence/{scratched[0]['id']}-map.jpg")[0] == 200)
    return str(scratched[0]["id"])


def shown(browser: "Browser", address: str, path: str, size: tuple[int, int]) -> bytes:
    """A picture (PNG) of a page on a screen of this size, or longer where the page is."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page: Page = context.new_page()
    page.goto(f"{address}/?token={TOKEN}")
    page.goto(f"{address}/{path}")
    page.wait_for_load_state("networkidle" if path else "load")
    if path in ("", "camera/top"):
        page.locator(".last img:visible").first.wait_for()
        page.locator(".rejected img:visible").first.wait_for()
    picture = page.screenshot(full_page=size == PHONE)
    context.close()
    return picture


def write_small(file: Path, png: bytes) -> None:
    """Write a picture as WebP of at most LARGEST_BYTES."""
    picture = read_picture(png)
    for quality in range(85, 20, -5):
        _done, content = cv2.imencode(".webp", picture, (cv2.IMWRITE_WEBP_QUALITY, quality))
        if len(content) <= LARGEST_BYTES:
            break
    file.write_bytes(content.tobytes())


if __name__ == "__main__":
    main()
