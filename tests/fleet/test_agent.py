"""An agent on a box where no inspection runs, with a real broker and a real HTTPS server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.config import load_settings
from core.errors import ConfigError
from export.package import sign
from fleet.agent import Agent
from fleet.order import Package
from fleet.settings import AgentSettings
from runtime.bundles.bundle import load_bundle
from runtime.events.topics import Topics
from tests.fleet.conftest import Key, new_box, new_key
from tests.fleet.https_server import HttpsServer
from tests.fleet.site import Site
from tests.runtime.broker import Mosquitto, free_port
from tests.runtime.command import run_command
from tests.runtime.contract import check
from tests.runtime.small_bundle import write_bundle
from tests.runtime.waiting import WAIT_S

LIGHT = 200


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto, server: HttpsServer, key: Key) -> Iterator[Site]:
    box = new_box(
        tmp_path_factory.mktemp("box"), "press-1", broker, server, key, {"kind": "folder", "path": "pictures"}
    )
    running = Site(box, key, broker.port)
    yield running
    running.close()


def test_a_bundle_is_fetched_checked_and_linked_and_the_old_one_is_one_order_away(
    site: Site, packed: Callable[..., Package], server: HttpsServer
) -> None:
    package = packed(121)
    done = site.order(package)
    assert (done.state, done.sha256, done.error) == ("installed", package.sha256, "")
    assert site.box.link.resolve().name == f"fleet-{package.sha256}"
    back = site.order(None)
    assert (back.state, back.sha256) == ("installed", None)
    assert site.box.link.resolve().name == "cell.bundle-1"
    fetched = len(server.ranges)
    assert site.order(package).sha256 == package.sha256
    assert len(server.ranges) == fetched, "it lay there still"
    second = site.order(packed(122))
    again = site.order(Package(sha256=package.sha256, url=""))
    assert (again.error, again.sha256) == ("", package.sha256)
    gone = site.order(Package(sha256="0" * 64, url=""))
    assert "the order names no place to fetch it from" in gone.error
    assert site.order(Package(sha256=str(second.sha256), url="")).error == ""
    cut = site.box.link.with_name(f"fleet-{'0' * 64}.zip.part")
    cut.write_bytes(b"half")
    last = site.order(packed(123))
    assert not cut.exists()
    kept = {folder.name for folder in site.box.link.parent.iterdir() if folder.is_dir() and not folder.is_symlink()}
    assert len(kept) == 3, "the one in force, the one before, and the one from before the fleet"
    assert {f"fleet-{last.sha256}", "cell.bundle-1"} < kept


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("hash", "as ordered; not used"),
        ("signature", "its signature does not belong to"),
        ("away", "cannot be reached"),
        ("verify", "differently from what the bundle says"),
        ("order", "order: its signature does not belong to"),
        ("older", "is older than"),
        ("gibberish", "order: not readable"),
    ],
)
def test_whatever_is_wrong_the_bundle_in_force_is_kept_and_it_is_told(
    site: Site,
    packed: Callable[..., Package],
    server: HttpsServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    told: str,
) -> None:
    monkeypatch.setattr("fleet.download.TRIES", 2)
    stranger = new_key(tmp_path, "stranger")
    before = site.box.link.resolve()
    folders = sorted(site.box.link.parent.glob("fleet-*"))
    if fault == "gibberish":
        seen = len(site.reports())
        site.mes.send(Topics(site.box.station).bundle_desired, b"\xff[")
        site.mes.wait_for(lambda: len(site.reports()) > seen)
        report = site.reports()[-1]
    else:
        package = packed(124, signed_by=stranger if fault == "signature" else site.key, lying=fault == "verify")
        if fault == "hash":
            server.files[package.sha256] += b"."
        if fault == "away":
            package = package.model_copy(update={"url": f"https://127.0.0.1:{free_port()}/x"})
        report = site.order(
            package, signed_by=stranger if fault == "order" else None, serial=5 if fault == "older" else None
        )
    assert told in report.error
    assert (report.state == "failed") == (fault in ("hash", "signature", "away", "verify"))
    assert site.box.link.resolve() == before
    assert sorted(site.box.link.parent.glob("fleet-*")) == folders
    assert site.order(packed(125)).error == "", "and the next order is carried out"


def _wait_online(site: Site) -> None:
    topic = Topics(site.box.station).bundle_agent
    site.mes.wait_for(lambda: b"online" in [each.payload for each in site.mes.messages if each.topic == topic][-1:])


@pytest.mark.parametrize("name", ["model.onnx", "bundle.json"])
def test_a_bundle_in_force_that_is_damaged_is_told_and_comes_anew_with_the_same_order(
    name: str, tmp_path: Path, broker: Mosquitto, server: HttpsServer, key: Key, packed: Callable[..., Package]
) -> None:
    """As after a power cut, or on a disk that forgets."""
    box = new_box(
        tmp_path, f"of-{name.split('.', maxsplit=1)[0]}", broker, server, key, {"kind": "folder", "path": "pictures"}
    )
    package = packed(127)
    first = Site(box, key, broker.port)
    _wait_online(first)
    assert first.order(package).error == ""
    first.close()
    (box.link / name).write_bytes(b"")
    again = Site(box, key, broker.port)
    try:
        _wait_online(again)
        if name == "bundle.json":
            again.mes.wait_for(lambda: any(each.error for each in again.reports()))
            assert (again.reports()[-1].state, again.reports()[-1].model) == ("failed", "")
        done = again.order(package, serial=2000)
        assert (done.state, done.sha256, done.error) == ("installed", package.sha256, "")
        load_bundle(box.link)
    finally:
        again.close()


def test_an_order_for_an_inspection_that_has_taken_up_recipes_is_refused_in_words(
    tmp_path: Path, broker: Mosquitto, server: HttpsServer, key: Key, packed: Callable[..., Package]
) -> None:
    (tmp_path / "inbox").mkdir()
    camera = {"kind": "watch", "path": str(tmp_path / "inbox")}
    box = new_box(tmp_path, "press-4", broker, server, key, camera)
    site = Site(box, key, broker.port)
    try:
        own = box.inspection.with_name("with-recipes.yaml")
        own.write_text(
            f"{box.inspection.read_text()}bundles: {{blue: {box.link.resolve()}, red: {tmp_path / 'red'}}}\n"
        )
        sign(write_bundle(tmp_path / "red", LIGHT), key.private_file)
        process = run_command(own)
        topics = Topics(box.station)
        site.mes.wait_for(lambda: {topics.status, topics.model} <= {each.topic for each in site.mes.messages})
        report = site.order(packed(126))
        assert report.state == "failed"
        assert "`bundles` has bundles of its own for blue, red, and an order does not say which" in report.error
        assert box.link.resolve().name == "cell.bundle-1"
        process.terminate()
        assert process.wait(WAIT_S) == 0
    finally:
        site.close()


def test_an_agent_s_end_is_told_and_what_it_believed_stays(
    tmp_path: Path, broker: Mosquitto, server: HttpsServer, key: Key
) -> None:
    box = new_box(tmp_path, "press-2", broker, server, key, {"kind": "folder", "path": "pictures"})
    first = Site(box, key, broker.port)
    first.mes.wait_for(
        lambda: (
            b"online" in [each.payload for each in first.mes.messages if each.topic == Topics(box.station).bundle_agent]
        )
    )
    first.order(None, serial=7)
    topic = Topics(box.station).bundle_agent
    assert check(broker.retained(topic), box.station) == "bundle_agent"
    first.close()
    assert broker.retained(topic).payload == b"offline"
    assert check(broker.retained(topic), box.station) == "bundle_agent"
    assert json.loads((tmp_path / ".fleet.json").read_text()) == {"serial": 7, "installed": "cell.bundle-1"}


def test_a_box_that_is_not_set_up_for_it_is_told_how(
    tmp_path: Path, broker: Mosquitto, server: HttpsServer, key: Key
) -> None:
    box = new_box(tmp_path, "press-3", broker, server, key, {"kind": "folder", "path": "pictures"})
    settings = load_settings(box.agent, AgentSettings)
    text = box.inspection.read_text()
    box.inspection.write_text(text.replace("bundle_key", "#"))
    with pytest.raises(ConfigError, match="`bundle_key` is missing"):
        Agent(settings)
    box.inspection.write_text(f"{text}bundles: {{blue: cell.bundle-1, red: cell.bundle-1}}\n")
    with pytest.raises(ConfigError, match="`bundles` has bundles of its own for blue, red, and an order does not say"):
        Agent(settings)
    box.inspection.write_text(text)
    box.link.unlink()
    (tmp_path / "cell.bundle-1").rename(box.link)
    with pytest.raises(ConfigError, match="ln -s cell.bundle-1 cell.bundle"):
        Agent(settings)
