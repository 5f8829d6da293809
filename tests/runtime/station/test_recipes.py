"""Several recipes on one station: each part is judged by its own recipe's bundle, whatever comes beside it."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytest

from core.errors import ArtifactError
from runtime.bundles.bundle import load_bundle, save_manifest
from runtime.bundles.site_thresholds import SiteThresholds
from runtime.inference.models import Models, open_models
from runtime.inference.settings import BackendSettings
from runtime.parts.verdict import Reason
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import at, folder, run_command, write_config
from tests.runtime.contract import PREFIX, check
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import GOOD_GREY, good_picture, write_pictures
from tests.runtime.servers import MjpegServer
from tests.runtime.small_bundle import write_bundle
from tests.runtime.waiting import WAIT_S
from tests.runtime.web import post, state

LIGHT = 200


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`blue` finds what the camera shows good, `red` finds it bad; `plain` is for parts of no recipe."""
    place = tmp_path_factory.mktemp("bundles")
    greys = {"plain": GOOD_GREY + 1, "blue": GOOD_GREY, "red": LIGHT}
    return {name: write_bundle(place / name, grey) for name, grey in greys.items()}


def recipes(bundles: dict[str, Path]) -> dict[str, str]:
    return {name: str(bundles[name]) for name in ("blue", "red")}


def sha256(bundle: Path) -> str:
    return load_bundle(bundle).manifest.model_sha256


def tell(mes: Subscriber, verb: str, **keys: Any) -> dict[str, Any]:
    before = len(mes.events("/cmd_reply"))
    mes.send(f"{PREFIX}/cmd/{verb}", json.dumps({"request_id": "r", **keys}).encode())
    mes.wait_for(lambda: len(mes.events("/cmd_reply")) > before)
    return mes.events("/cmd_reply")[before]


def test_each_trigger_chooses_the_bundle_of_its_part_and_an_unknown_recipe_none(
    tmp_path: Path, bundles: dict[str, Path], mosquitto: Mosquitto, mes: Subscriber, mjpeg: MjpegServer
) -> None:
    camera = {"kind": "http", "url": mjpeg.url, "trigger": {"tolerance_ms": 2000}, "stale_after_s": 60}
    config = write_config(
        *(tmp_path, bundles["plain"], {"top": camera, "side": camera}),
        bundles=recipes(bundles),
        broker=at(mosquitto.port),
    )
    process = run_command(config)
    mes.wait_for(lambda: sum(state["state"] == "streaming" for state in mes.events("/status")) >= 2)
    told = ["blue", "red", None, "green"] * 4
    for number, recipe in enumerate(told):
        for name in ("top", "side"):
            payload = {"part_id": number, **({} if recipe is None else {"recipe": recipe})}
            mes.send(f"{PREFIX}/trigger/{name}", json.dumps(payload).encode())
    mes.wait_for_events(2 * len(told))
    process.terminate()
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    card = json.loads(mosquitto.retained(f"{PREFIX}/model").payload)
    assert (card["sha256"], list(card["recipes"])) == (sha256(bundles["plain"]), ["blue", "red"])
    who = {None: card["sha256"], "green": card["sha256"]}
    who |= {recipe: card["recipes"][recipe]["sha256"] for recipe in ("blue", "red")}
    assert who["red"] == sha256(bundles["red"])
    verdicts = {None: ("OK", []), "blue": ("OK", []), "green": ("NotDecidable", ["no_recipe"])}
    for name in ("top", "side"):
        events = sorted((each for each in mes.events() if each["camera"] == name), key=lambda each: each["seq"])
        assert [event["part_id"] for event in events] == [str(number) for number in range(len(told))]
        assert [event["recipe"] for event in events] == told
        for event in events:
            assert event["model"]["sha256"] == who[event["recipe"]]
            found = (event["verdict"]["name"], event["verdict"]["reason"])
            assert found == verdicts.get(event["recipe"], ("NotOK", ["image_error", "tile_error"]))
            assert (event["score"] is None) == (event["recipe"] == "green")
    ours = [message for message in mes.messages if "/trigger/" not in message.topic]
    assert {check(message) for message in ours} >= {"result", "model"}


def test_a_job_chooses_the_bundle_of_a_camera_that_runs_freely(
    tmp_path: Path, bundles: dict[str, Path], mosquitto: Mosquitto, mes: Subscriber
) -> None:
    pictures = write_pictures(tmp_path / "pictures", good=2000)
    cameras = {name: folder(pictures, max_fps=40) for name in ("top", "side")}
    config = write_config(
        *(tmp_path, bundles["plain"], cameras),
        bundles=recipes(bundles),
        broker=at(mosquitto.port),
        batching={"max_batch": 4, "max_wait_ms": 50},
        commands=["job", "pause", "resume"],
        view={"port": (port := free_port())},
    )
    process = run_command(config)
    mes.wait_for_events(4)
    for camera, recipe in (("top", "blue"), ("side", "red"), ("top", "red"), ("top", "green")):
        answer = tell(mes, "job", job_id="J", recipe=recipe, camera=camera)
        assert answer["ok"], answer
        mes.wait_for(partial(are_told, mes, camera, recipe, 6))
    predicted = partial(predict, f"http://127.0.0.1:{port}/predict?camera=", bundles)
    assert predicted("top&recipe=blue") == ("blue", "blue", "OK", [])
    assert predicted("side") == ("red", "red", "NotOK", ["image_error", "tile_error"])
    assert predicted("side&recipe=yellow") == ("yellow", "plain", "NotDecidable", ["no_recipe"])
    seen = state(f"http://127.0.0.1:{port}")["cameras"]["side"]["last"]
    assert (seen["job_id"], seen["recipe"]) == ("J", "red")
    assert tell(mes, "pause")["ok"]
    paused = len(mes.events())
    assert tell(mes, "job", recipe="blue")["ok"]
    assert tell(mes, "resume")["ok"]
    mes.wait_for(lambda: are_told(mes, "side", "blue", 3) and len(mes.events()) > paused)
    process.terminate()
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    who = {None: "plain", "green": "plain", "blue": "blue", "red": "red"}
    order: dict[str, list[str | None]] = {"top": [], "side": []}
    for event in mes.events():
        assert event["model"]["sha256"] == sha256(bundles[who[event["recipe"]]])
        if not order[event["camera"]] or order[event["camera"]][-1] != event["recipe"]:
            order[event["camera"]].append(event["recipe"])
    assert order == {"top": [None, "blue", "red", "green", "blue"], "side": [None, "red", "blue"]}
    for camera in order:
        numbers = [event["seq"] for event in mes.events() if event["camera"] == camera]
        assert numbers == list(range(1, len(numbers) + 1))
    reasons = {(each["recipe"], *each["verdict"]["reason"]) for each in mes.events()}
    assert reasons == {(None,), ("blue",), ("red", "image_error", "tile_error"), ("green", "no_recipe")}


def predict(address: str, bundles: dict[str, Path], query: str) -> tuple[str, str, str, list[str]]:
    """The recipe that a good picture is judged as, whose bundle did, and what it found; of no job."""
    code, event = post(address + query, cv2.imencode(".png", good_picture(1))[1].tobytes())
    assert (code, event["job_id"]) == (200, None), event
    (who,) = (name for name, bundle in bundles.items() if sha256(bundle) == event["model"]["sha256"])
    return event["recipe"], who, event["verdict"]["name"], event["verdict"]["reason"]


def are_told(mes: Subscriber, camera: str, recipe: str, least: int) -> bool:
    return sum((event["camera"], event["recipe"]) == (camera, recipe) for event in mes.events()) >= least


def test_a_folder_is_opened_once_for_all_recipes_that_name_it_and_each_has_to_open(
    tmp_path: Path, bundles: dict[str, Path]
) -> None:
    asked, site = (None, BackendSettings(), 1), SiteThresholds({"top": 1.0})

    def opened(**by_recipe: Path) -> Models:
        return open_models("press-3", bundles["blue"], by_recipe, asked, site)

    models = opened(blue=bundles["blue"], red=bundles["red"], crimson=bundles["red"])
    assert [model.origin.recipe for model in models.each] == [None, "red"]
    assert models.choose("blue") == models.choose(None) == (models.default, ())
    assert models.choose("crimson")[0] is models.choose("red")[0] is models["red"]
    assert models.choose("green") == (models.default, (Reason.NO_RECIPE,))
    models.close()
    twelve = Path(shutil.copytree(bundles["red"], tmp_path / "twelve"))
    save_manifest(twelve, load_bundle(twelve).manifest.model_copy(update={"bits": 12}))
    for red, told in ((twelve, "reads files of 16 bits as 12"), (tmp_path / "none", "no readable bundle.json")):
        with pytest.raises(ArtifactError, match=told):
            opened(red=red)
