"""Hosts: what they ask in whatever number is told seldom, and whether they may hear us is seen by our own birth."""

import logging
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runtime.mqtt import echo
from runtime.mqtt.message import Message
from runtime.mqtt.settings import BrokerSettings
from runtime.sparkplug.hosts import Hosts
from runtime.sparkplug.node import EdgeNode
from runtime.sparkplug.sender import sending_sparkplug
from runtime.threads.seldom import Seldom
from tests.runtime.broker import Mosquitto
from tests.runtime.command import at
from tests.runtime.sparkplug_host import Payload
from tests.runtime.waiting import wait_until

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "sparkplug.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("denied", ["", "topic write"])
def test_a_birth_that_does_not_come_back_is_told_and_by_the_page_s_access_list_it_does(
    mosquitto: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture, denied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echo, "COMES_BACK_S", 0.5)
    came_back: list[str] = []
    settle = echo.Echo._settle
    monkeypatch.setattr(echo.Echo, "_settle", lambda self, topic: (came_back.append(topic), settle(self, topic)))
    listed = PAGE[PAGE.index("    user press-3") :].split("\n\n")[0].replace("    ", "").splitlines()
    access = [line for line in listed if not (denied and line.startswith(denied))]
    (tmp_path / "acl").write_text("\n".join([*access, ""]))
    subprocess.run(["mosquitto_passwd", "-c", "-b", tmp_path / "passwords", "press-3", "secret"], check=True)
    (tmp_path / "secret").write_text("secret")
    mosquitto.stop()
    mosquitto.extra = f"password_file {tmp_path / 'passwords'}\nacl_file {tmp_path / 'acl'}\nmax_queued_messages 1000\n"
    mosquitto.start()
    login = at(mosquitto.port, username="press-3", password_file=tmp_path / "secret")
    broker = BrokerSettings.model_validate(login)
    node = EdgeNode("plant-1", "press-3", "plant", {"top": ["top"]})
    with sending_sparkplug(broker, "station", node, tmp_path / "birth") as sender:
        wait_until(lambda: bool(came_back) or "topic=spBv1.0/plant-1/NBIRTH/press-3" in caplog.text)
    assert sender.state == "connected"
    assert ("it does not hand our birth to us" in caplog.text) is bool(denied)


class Line:
    """In place of a connection: it gives what a test puts into it."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.refused: list[tuple[int, int, str]] = []
        self.asked: list[str] = []

    def subscribe(self, topic: str, qos: int = 1) -> int:
        self.asked.append(topic)
        return len(self.asked)

    def received(self) -> list[Message]:
        return self.heard

    def rejected(self) -> list[tuple[int, int, str]]:
        return self.refused

    def acknowledge(self, message: Message) -> None:
        """Nobody waits for it."""


def test_hosts_that_ask_on_and_on_get_births_and_one_line_of_the_log_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rebirth = Payload(timestamp=1)
    rebirth.metrics.add(name="Node Control/Rebirth", datatype=11, boolean_value=True)
    line: Any = Line()
    node = EdgeNode("plant-1", "press-3", "plant", {"top": ["top"]})
    hosts = Hosts(line, node, "spBv1.0/plant-1/NBIRTH/press-3", Seldom())
    asked = [b"\xff", rebirth.SerializeToString(), b"what?"]
    line.heard = [Message(node.commands, payload, retained=False) for payload in asked * 30]
    assert all(hosts.ask_for_births() for _ in range(10))
    assert (caplog.text.count("asked for births"), caplog.text.count("no payload")) == (1, 1)
    birth = rebirth.SerializeToString()
    line.heard = [Message("spBv1.0/plant-1/NBIRTH/press-3", birth, retained=False)]  # our own is no command
    line.unsubscribe = lambda _topic: None
    assert not hosts.ask_for_births()


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_birth_that_comes_back_with_the_goodbye_has_come_back(
    caplog: pytest.LogCaptureFixture, comes_back: bool
) -> None:
    line: Any = Line()
    line.unsubscribe = lambda _topic: None
    hosts = Hosts(line, EdgeNode("g", "s", "plant", {}), "spBv1.0/g/NBIRTH/s", Seldom())
    line.heard = [Message("spBv1.0/g/NBIRTH/s", b"", retained=False)] * comes_back
    hosts.end()
    assert ("it does not hand our birth to us" in caplog.text) is not comes_back


def test_of_both_subscriptions_that_for_commands_is_told_where_it_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    line: Any = Line()
    hosts = Hosts(line, EdgeNode("g", "s", "plant", {}), "spBv1.0/g/NBIRTH/s", Seldom())
    line.refused = [(2, 0x87, "Not authorized")]
    hosts.ask_for_births()
    assert caplog.text == ""
    line.refused = [(1, 0x87, "Not authorized")]
    hosts.ask_for_births()
    assert "refuses the subscription to spBv1.0/g/NCMD/s (Not authorized)" in caplog.text
