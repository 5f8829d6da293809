"""The neighbour: the inspection on the same box, as it tells of itself over MQTT, and how it gets another bundle."""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ArtifactError
from runtime.bundles.bundle import read_manifest
from runtime.events.topics import Topics
from runtime.following.filters import Handler
from runtime.following.follower import Follower
from runtime.mqtt.message import Message, Outgoing

log = logging.getLogger(__name__)
RELOAD_S = 300.0
"""An inspection that has not answered by then most likely will not."""
TURN_S = 0.5
HEARD_S = 2.0
"""Within this time after the connection an inspection that runs has reported itself."""


def several_recipes(names: Iterable[str]) -> str:
    """Say why no order is carried out: neither it nor the station's counters name a recipe, by which to watch it."""
    return (
        f"`bundles` has bundles of its own for {', '.join(names)}, and an order does not say which it replaces; "
        "bring bundles there by `cmd/reload` with `recipe`, or leave `bundles` out."
    )


@dataclass
class _Reload:
    """What it was asked for by the order that is under way, or failed last."""

    number: str
    wanted: tuple[Any, Any]
    """Model and thresholds of that bundle."""
    before: tuple[Any, Any]
    """Those that it judged with."""
    answer: dict[str, Any] | None = None


class Neighbour:
    """Heard on the follower's thread, asked on the agent's."""

    def __init__(self, topics: Topics, on_change: Callable[[], None]) -> None:
        """`on_change` is called on the follower's thread when it starts, ends or takes another bundle."""
        self._topics = topics
        self._on_change = on_change
        self._reload: _Reload | None = None
        self._answered = threading.Event()
        self._heard = threading.Event()
        self._is_running = False
        self._in_use: tuple[Any, Any] = (None, None)
        """Model and thresholds that it judges with."""
        self._recipes: tuple[str, ...] = ()
        """Those that have a bundle of their own."""

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """What the follower is to give it, by topic."""
        return {
            self._topics.status: self._hear,
            self._topics.model: self._hear,
            self._topics.command_reply: self._hear_reply,
        }

    def is_running(self) -> bool:
        """Say whether it judges real parts; soon after the start it is waited for."""
        self._heard.wait(HEARD_S)
        self._heard.set()
        return self._is_running

    def use(self, folder: Path, follower: Follower, is_new: bool) -> None:
        """Let it judge with the bundle in `folder`, which `is_new`, or unless it tells that it does already.

        Raises ArtifactError where it refuses.
        """
        if self._recipes:
            raise ArtifactError(several_recipes(self._recipes))
        manifest = read_manifest(folder)
        wanted, before = (manifest.model_sha256, manifest.thresholds.id), self._in_use
        # It does not tell its engine: a new bundle may hold another one of the same model.
        if not is_new and before == wanted:
            return
        self._reload = asked_for = _Reload(str(uuid.uuid4()), wanted, before)
        self._answered.clear()
        command = {"request_id": asked_for.number, "by": "fleet", "bundle": folder.name}
        asked = follower.publish(Outgoing(self._topics.command("reload"), json.dumps(command).encode()))
        until_s = time.monotonic() + RELOAD_S
        while (left_s := until_s - time.monotonic()) > 0:
            if asked.refusal:
                raise ArtifactError(f"the broker does not take `reload` from this agent ({asked.refusal}).")
            if self.has_taken():
                return
            self._answered.wait(min(left_s, TURN_S))
        asked.withdraw()
        raise ArtifactError(
            f"the inspection has not answered `reload` within {RELOAD_S:.0f} s; its configuration needs "
            "`commands: [reload]`, and the broker's access list has to let this agent ask. "
            "Where it takes the bundle later, that is told."
        )

    def forget(self) -> None:
        """Another order counts: what it answers to an older one is nobody's."""
        self._reload = None

    def has_taken(self) -> bool:
        """Say whether it judges with the bundle that it was asked to take, perhaps long after.

        Raises ArtifactError where it refused.
        """
        asked = self._reload
        if asked is None:
            return False
        if self._in_use == asked.wanted and asked.before != asked.wanted:  # its answer may be lost with a connection
            return True
        if asked.answer is not None and not asked.answer.get("ok"):
            raise ArtifactError(f"the inspection refuses it: {asked.answer.get('error')}")
        return asked.answer is not None

    def _hear_reply(self, message: Message) -> None:
        try:
            reply = json.loads(message.payload)
        except (ValueError, RecursionError):
            return
        asked = self._reload
        if asked is not None and isinstance(reply, dict) and reply.get("request_id") == asked.number:
            asked.answer = reply
            self._answered.set()
            self._on_change()

    def _hear(self, message: Message) -> None:
        try:
            told = json.loads(message.payload)
            if message.topic == self._topics.status:
                self._is_running = told["state"] == "online" and not told.get("simulated")
            else:
                self._recipes = tuple(map(str, told.get("recipes", ())))
                self._in_use = told["sha256"], told["thresholds_id"]
                self._heard.set()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            log.warning("%s: not readable: %r", message.topic, message.payload[:100])
        self._on_change()
