"""Snapshots: however many ask while a camera gives nothing, one picture answers them, and it is encoded once."""

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core.errors import ConfigError
from runtime.commands.replies import Replies
from runtime.commands.snapshot import MOST_ASKED, Snapshots
from runtime.events.topics import Topics
from runtime.mqtt.message import Message, Outgoing
from runtime.parts.moment import Moment
from runtime.parts.part import Part
from tests.runtime.waiting import wait_until

TOPICS = Topics("plant")


def test_those_who_ask_while_nothing_comes_get_one_picture_and_no_thread_each() -> None:
    sent: list[Outgoing] = []
    publisher: Any = SimpleNamespace(send=sent.append)
    snapshots = Snapshots(publisher, TOPICS, Replies(publisher, TOPICS))
    asked = [Message("plant/cmd/snapshot", b"{}", False, correlation=b"%d" % number) for number in range(MOST_ASKED)]
    for message in asked[1:]:
        snapshots.ask("top", message)
    snapshots.ask("side", asked[0])
    with pytest.raises(ConfigError, match="100 wait for a frame already"):
        snapshots.ask("top", asked[0])
    is_let_go, encoded = threading.Event(), []

    def picture() -> Any:
        encoded.append(threading.current_thread())
        is_let_go.wait()
        return np.zeros((4, 4, 3), np.uint8)

    snapshots.watch(Part("top", Moment(0.0, 0.0), (4, 4), None, (), picture=picture))
    wait_until(lambda: bool(encoded))
    is_let_go.set()
    encoded[0].join()
    snapshots.look()
    assert len(encoded) == 1
    pictures = [each.correlation for each in sent if each.topic == TOPICS.snapshot("top")]
    assert pictures == [message.correlation for message in asked[1:]]
    assert len(sent) == 2 * len(pictures)  # and as many replies
    assert snapshots.end() == [asked[0]]
