"""What goes with a message under MQTT 5: the bytes that paho itself would send."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from runtime.events.encoding import SCHEMA, dumps
from runtime.events.gap import gap_of
from runtime.events.review import review
from runtime.mqtt.message import Outgoing, event_message
from runtime.mqtt.packets import message_properties, packet_bytes

words = st.text("ab/é", min_size=1, max_size=5)


@given(
    media_type=st.sampled_from(["application/json", "text/plain", "image/jpeg"]),
    expiry_s=st.none() | st.floats(-10, 1e12),
    user=st.lists(st.tuples(words, words), max_size=3),
    correlation=st.none() | st.binary(min_size=1, max_size=5),
)
def test_properties_that_were_packed_before_are_paho_s_own(
    media_type: str, expiry_s: float | None, user: list[tuple[str, str]], correlation: bytes | None
) -> None:
    message = Outgoing(
        "a/b", b"{}", expiry_s=expiry_s, user=tuple(user), correlation=correlation, media_type=media_type
    )
    expected: Any = Properties(PacketTypes.PUBLISH)
    expected.ContentType = media_type
    expected.PayloadFormatIndicator = int(media_type != "image/jpeg")
    if expiry_s is not None:
        expected.MessageExpiryInterval = min(max(1, round(expiry_s)), 2**32 - 1)
    if user:
        expected.UserProperty = user
    if correlation is not None:
        expected.CorrelationData = correlation
    for _ in range(2):
        properties = message_properties(message)
        assert properties.pack() == expected.pack()
        assert str(properties) == str(expected)
        assert packet_bytes(message, properties) == 5 + 2 + 3 + 2 + len(expected.pack()) + 2


def test_the_schema_that_goes_with_what_the_outbox_holds_is_that_of_its_body() -> None:
    names = ("id", "source", "boot_id", "station", "camera", "part_id", "job_id", "simulated", "verdict")
    told = {"seq": 1, "capture_time": "t", "model": {"sha256": "0"}, "thresholds_id": "0"}
    event = {"schema": SCHEMA, **dict.fromkeys(names, "x"), **told}
    bodies = {"result": dumps(event), "gap": gap_of(dumps(event)), "review": review(event, "r", "bad", "Ada", "", 1.0)}
    for leaf, body in bodies.items():
        message = event_message(f"p/camera/top/{leaf}", body, replayed=False)
        assert dict(message.user)["schema"] == json.loads(message.payload)["schema"]
