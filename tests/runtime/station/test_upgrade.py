"""A new bundle and back again, while the line goes on: nothing is lost, and each bundle has its own thresholds."""

import json
import shutil
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from runtime.bundles.bundle import Bundle, load_bundle, save_manifest
from runtime.bundles.manifest import MODEL
from runtime.bundles.site_thresholds import SiteThresholds
from tests.runtime.broker import Mosquitto
from tests.runtime.command import at, folder, run_command, write_config
from tests.runtime.contract import PREFIX, check
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.small_bundle import write_bundle
from tests.runtime.waiting import WAIT_S


def tell(mes: Subscriber, verb: str, **keys: Any) -> dict[str, Any]:
    before = len(mes.events("/cmd_reply"))
    mes.send(f"{PREFIX}/cmd/{verb}", json.dumps({"request_id": "r", **keys}).encode())
    mes.wait_for(lambda: len(mes.events("/cmd_reply")) > before)
    return mes.events("/cmd_reply")[before]


def judged_by(mes: Subscriber, camera: str) -> list[tuple[str, str]]:
    """Of the camera's parts in turn which model and thresholds judged them, each once until it changes."""
    events = [event for event in mes.events() if event["camera"] == camera]
    return [who for who, _ in groupby((event["model"]["sha256"], event["thresholds_id"]) for event in events)]


def is_judged_by(mes: Subscriber, camera: str, bundle: Bundle) -> bool:
    return judged_by(mes, camera)[-1:] != [] and judged_by(mes, camera)[-1][0] == bundle.manifest.model_sha256


def numbered(path: Path, number: int, grey: float) -> Bundle:
    manifest = load_bundle(write_bundle(path, grey)).manifest
    learned = {"pictures": 40, "folders": {"pictures/cell": 40}, "trained": "2026-11-23T22:05:00Z"}
    save_manifest(path, manifest.model_copy(update={"number": number, "provenance": {"training": learned}}))
    return load_bundle(path)


def test_a_new_bundle_and_back_again(tmp_path: Path, mosquitto: Mosquitto, mes: Subscriber) -> None:
    place = tmp_path / "bundles"
    place.mkdir()
    old, new, red = (
        numbered(place / f"cell-{number}", number, grey) for number, grey in ((7, 120), (8, 121), (9, 122))
    )
    damaged = Path(shutil.copytree(new.path, place / "damaged"))
    (damaged / MODEL).write_bytes(b"nothing")
    on_site = old.manifest.thresholds.scaled(1.5)
    SiteThresholds({"top": 1.0}).store(old, "top", on_site, "Ada")
    pictures = write_pictures(tmp_path / "pictures", good=3000)
    config = write_config(
        *(tmp_path, old.path, {name: folder(pictures, max_fps=40) for name in ("top", "side")}),
        bundles={"red": str(red.path)},
        broker=at(mosquitto.port),
        commands=["reload", "job"],
    )
    process = run_command(config)
    mes.wait_for_events(4)
    assert tell(mes, "job", camera="side", recipe="red")["ok"]
    mes.wait_for(partial(is_judged_by, mes, "side", red))
    answer = tell(mes, "reload", bundle="cell-8")
    assert (answer["ok"], answer["detail"]["sha256"]) == (True, new.manifest.model_sha256)
    mes.wait_for(partial(is_judged_by, mes, "top", new))
    mes.wait_for(lambda: mes.events("/model")[-1]["number"] == 8)
    refused = tell(mes, "reload", bundle="damaged")
    assert (refused["ok"], "The bundle in use is kept" in refused["error"]) == (False, True)
    assert tell(mes, "reload", bundle="cell-7")["ok"]
    mes.wait_for(partial(is_judged_by, mes, "top", old))
    mes.wait_for(lambda: mes.events("/model")[-1]["number"] == 7)  # a retained topic has its newest value alone
    assert "`recipe`: red" in tell(mes, "reload", recipe="green")["error"]
    assert tell(mes, "reload", recipe="red", bundle="cell-8")["ok"]
    mes.wait_for(partial(is_judged_by, mes, "side", new))
    mes.wait_for(lambda: mes.events("/model")[-1]["recipes"]["red"]["number"] == 8)
    process.terminate()
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err

    def who(bundle: Bundle, thresholds_id: str | None = None) -> tuple[str, str]:
        return bundle.manifest.model_sha256, thresholds_id or bundle.manifest.thresholds.id

    assert judged_by(mes, "top") == [who(old, on_site.id), who(new), who(old, on_site.id)]
    assert judged_by(mes, "side") == [who(old), who(red), who(new)]
    for camera in ("top", "side"):
        numbers = [event["seq"] for event in mes.events() if event["camera"] == camera]
        assert numbers == list(range(1, len(numbers) + 1)), "no part in flight is lost, or told twice"
    told = [(card["number"], card["recipes"]["red"]["number"]) for card in mes.events("/model")]
    assert [each for each, _ in groupby(told)] == [(7, 9), (8, 9), (7, 9), (7, 8)]
    assert mes.events("/model")[0]["trained_on"]["folders"] == {"pictures/cell": 40}
    assert {check(message) for message in mes.messages if "/cmd/" not in message.topic} >= {"model", "reply", "result"}
