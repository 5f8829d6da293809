"""What an agent hears of the inspection beside it, and what of it is nonsense."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from paho.mqtt.client import topic_matches_sub

from core.errors import ArtifactError
from fleet import neighbour
from fleet.neighbour import Neighbour
from runtime.bundles.bundle import read_manifest
from runtime.events.topics import Topics
from runtime.following.follower import Follower
from runtime.following.publication import Publication
from runtime.mqtt.message import Message, Outgoing
from runtime.mqtt.settings import BrokerSettings
from tests.runtime.broker import free_port
from tests.runtime.odd_broker import PUBLISH, number_of, odd_broker, packet
from tests.runtime.small_bundle import write_bundle

TOPICS = Topics("plant")


@pytest.mark.parametrize("payload", [b"", b"[]", b'"x"', b"5", b"null", b"[" * 100_000, b"\xff", b'{"state": []}'])
def test_whatever_is_sent_in_the_inspections_name_the_agent_lives_on(
    payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbour, "HEARD_S", 0.0)
    changes: list[bool] = []
    beside = Neighbour(TOPICS, lambda: changes.append(beside.is_running()))
    for topic in (TOPICS.model, TOPICS.status):
        beside.handlers[topic](Message(topic, payload, retained=False))
    assert changes == [False, False]


def test_a_reload_that_the_broker_denies_is_told_at_once_with_its_remedy(tmp_path: Path) -> None:
    def deny(first: int, body: bytes) -> bytes | None:
        return packet(0x40, number_of(body) + b"\x87\0") if first >> 4 == PUBLISH else None

    bundle = write_bundle(tmp_path / "bundle")
    with (
        odd_broker(deny) as broker,
        Follower(BrokerSettings(host="127.0.0.1", port=broker.port), "agent", {}) as follower,
        pytest.raises(ArtifactError, match=r"does not take `reload` from this agent .Not authorized; .*access list"),
    ):
        Neighbour(TOPICS, lambda: None).use(bundle, follower, is_new=True)


def test_the_access_list_of_the_pages_lets_an_agent_hear_all_that_it_asks_for() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    listed, user = [], ""
    for page in ("mes.md", "fleet.md"):
        for line in (docs / page).read_text(encoding="utf-8").splitlines():
            user = line.split()[1] if line.startswith("    user ") else user
            if user == "press-3" and line.startswith("    topic read "):
                listed.append(line.split()[2])
    topics = Topics("pwae/site/area/line/press-3")
    asked = [topics.bundle_desired, *Neighbour(topics, lambda: None).handlers]
    assert [each for each in asked if not any(topic_matches_sub(allowed, each) for allowed in listed)] == []


@pytest.mark.parametrize("is_new", [True, False])
def test_a_new_bundle_of_the_same_model_is_loaded_for_its_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    monkeypatch.setattr(neighbour, "RELOAD_S", 0.0)
    bundle = write_bundle(tmp_path / "bundle")
    manifest = read_manifest(bundle)
    told = {"sha256": manifest.model_sha256, "thresholds_id": manifest.thresholds.id}
    beside = Neighbour(TOPICS, lambda: None)
    beside.handlers[TOPICS.model](Message(TOPICS.model, json.dumps(told).encode(), retained=True))
    follower = Follower(BrokerSettings(host="127.0.0.1", port=free_port()), "agent", {})
    with follower, pytest.raises(ArtifactError, match="not answered `reload`") if is_new else nullcontext():
        beside.use(bundle, follower, is_new)


def test_a_reload_whose_answer_was_lost_is_known_by_the_model_that_it_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbour, "RELOAD_S", 0.5)
    monkeypatch.setattr(neighbour, "TURN_S", 0.01)
    bundle = write_bundle(tmp_path / "bundle")
    manifest = read_manifest(bundle)
    told = {"sha256": manifest.model_sha256, "thresholds_id": manifest.thresholds.id}
    beside = Neighbour(TOPICS, lambda: None)
    follower = Follower(BrokerSettings(host="127.0.0.1", port=free_port()), "agent", {})

    def obey(message: Outgoing) -> Publication:
        beside.handlers[TOPICS.model](Message(TOPICS.model, json.dumps(told).encode(), retained=True))
        return Publication(message)

    monkeypatch.setattr(follower, "publish", obey)
    with follower:
        beside.use(bundle, follower, is_new=True)


def test_a_reload_that_was_told_as_failed_is_never_sent_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbour, "RELOAD_S", 0.2)
    monkeypatch.setattr(neighbour, "TURN_S", 0.05)
    bundle, port = write_bundle(tmp_path / "bundle"), free_port()
    follower = Follower(BrokerSettings(host="127.0.0.1", port=port), "agent", {})
    asked: list[Publication] = []
    publish = follower.publish
    monkeypatch.setattr(follower, "publish", lambda message: asked.append(publish(message)) or asked[0])
    with follower, pytest.raises(ArtifactError, match="has not answered `reload`"):
        Neighbour(TOPICS, lambda: None).use(bundle, follower, is_new=True)
    assert asked[0].is_settled
