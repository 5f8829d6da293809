"""The messages that the gateway reads: what is not of its types is refused in words, before anything is served."""

import json

import pytest

from gateway.messages import CAMERA, read_message
from tests.gateway.events import EVENT, WRONG, with_wrong


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_an_event_with_a_wrong_type_is_refused_with_its_key(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{key}[.:]|^it: Invalid JSON") as refused:
        read_message(CAMERA["result"], json.dumps(with_wrong(key, value)).encode())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[1", b"[" * 10_000, b'{"id": "\\ud800"}', b"[]", b"null"])
def test_what_is_no_json_of_ours_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="Invalid JSON|should be an object"):
        read_message(CAMERA["result"], payload)


def test_an_event_is_read_whatever_keys_are_added_to_it() -> None:
    later = {**EVENT, "colour": "red", "score": {**EVENT["score"], "unit": "distance"}}
    assert read_message(CAMERA["result"], json.dumps(later).encode()) == later
