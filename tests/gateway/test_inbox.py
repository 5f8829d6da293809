"""The inbox between a real broker and a server that is slower than what is told: bounded, told, counted, and right."""

import asyncio

from paho.mqtt.publish import single

from gateway.inbox import LONGEST, Inbox
from runtime.following.follower import CONNECTED, Contact, Follower
from runtime.mqtt.message import Message
from runtime.mqtt.settings import BrokerSettings
from tests.runtime.broker import Mosquitto
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S


def test_more_than_can_be_served_is_left_out_told_and_counted_and_states_come_anew(mosquitto: Mosquitto) -> None:
    async def hear() -> tuple[list[str], list[Message], int]:
        inbox, contacts, messages = Inbox(), list[str](), list[Message]()
        broker = BrokerSettings(host="127.0.0.1", port=mosquitto.port)
        with Follower(broker, "gateway", {"p/#": inbox.put}, on_contact=inbox.put):
            while CONNECTED not in contacts:
                what = await inbox.take(WAIT_S)
                contacts += [what.words] if isinstance(what, Contact) else []
            sender = Subscriber(mosquitto.port, "none")
            for number in range(LONGEST + 500):
                sender.send("p/result", b"%d" % number)
            while not inbox.left_out:  # nobody takes meanwhile
                await asyncio.sleep(0.01)
            single("p/status", b"online", qos=1, retain=True, hostname="127.0.0.1", port=mosquitto.port)
            while (CONNECTED not in contacts[1:]) or not any(each.payload == b"online" for each in messages):
                what = await inbox.take(WAIT_S)
                assert what is not None, contacts
                if isinstance(what, Contact):
                    contacts.append(what.words)
                else:
                    messages.append(what)
        sender.close()
        return contacts, messages, inbox.left_out

    contacts, messages, left_out = asyncio.run(hear())
    assert (
        contacts[1]
        == f"unreachable: stations report more than can be served; {left_out} messages or more were left out"
    )
    assert LONGEST < left_out <= LONGEST + 500
    assert len(messages) <= 501
