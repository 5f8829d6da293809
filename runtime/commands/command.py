"""Commands: what may be asked of a running inspection over MQTT, how often, and the replies; see `handler`."""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field, StringConstraints

from core.config import Name, Settings, parse_settings
from core.config_faults import unknown_key
from core.errors import ConfigError, shortened
from core.timestamps import rfc3339
from runtime.events.encoding import dumps
from runtime.mqtt.message import Message, Outgoing

log = logging.getLogger(__name__)
LONGEST_BYTES = 4096
LONGEST_TOPIC_BYTES = 1024
MOST_A_SECOND = 100
OF_ALL = ("request_id", "by")
KEYS_OF = {
    "snapshot": ("camera",),
    "reload": ("bundle", "recipe"),
    "recalibrate": ("camera", "recipe", "parts", "force", "dry_run", "marked", "reset"),
    "resend": ("camera", "seq", "boot_id", "time"),
    "job": ("camera", "job_id", "recipe", "batch", "operator"),
}
"""What verbs look at beside them. Other verbs' keys mean nothing to one, and are let pass."""
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
EXPECTED = 'expected a JSON object, as in {"request_id": "17"}.'
EXPECTED_TIME = "expected a time with its zone, as in 2026-11-24T00:17:27.277Z"


def as_text(value: Any) -> Any:
    """Take a whole number for the text that it is written with, as MES and PLC count parts and orders.

    Raises ValueError where it has thousands of digits.
    """
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Words = Annotated[str, StringConstraints(min_length=1, max_length=64), BeforeValidator(as_text)]
Mark = Annotated[str, StringConstraints(min_length=1, max_length=256), BeforeValidator(as_text)]
"""What others call a thing of theirs."""
MarkIfAny = Annotated[Mark | None, BeforeValidator(lambda told: None if told == "" else told)]
"""A PLC whose field is empty sends a text without characters."""


def _as_time(value: Any) -> Any:
    """Read RFC 3339 and nothing else: a number might be seconds or milliseconds. Raises ValueError."""
    if not (isinstance(value, str) and RFC_3339.fullmatch(value)):
        raise ValueError(EXPECTED_TIME)
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise ValueError(EXPECTED_TIME) from error


Time = Annotated[AwareDatetime, BeforeValidator(_as_time)]


class Command(Settings):
    """The payload of every command; each verb says which keys it needs."""

    request_id: Words
    """Comes back in the reply."""
    by: Words | None = None
    """Who asks; recalibrate keeps it with the thresholds."""
    camera: Name | None = None
    """snapshot, recalibrate: which camera; left out where there is only one. job, resend: left out, all."""
    job_id: MarkIfAny = None
    """job: comes back in every event, as `recipe`, `batch` and `operator` do; what is left out is none."""
    recipe: MarkIfAny = None
    """Also chooses the bundle, where there are `bundles`. reload, recalibrate: whose bundle; left out: `bundle`."""
    batch: MarkIfAny = None
    operator: MarkIfAny = None
    seq: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    """resend: from this event of the camera on."""
    boot_id: Words | None = None
    """resend: the run whose `seq` it is; left out: the one that is under way."""
    time: Time | None = None
    """resend, instead of `seq`: from what was captured then on."""
    bundle: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$", examples=["my-part-8"])] | None = None
    """reload: the name of a folder beside the configured bundle; left out: the configured one, as it is now."""
    parts: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """recalibrate: how many of the next frames are declared good."""
    force: bool = False
    """recalibrate: those of them that are NotOK now are good, too."""
    dry_run: bool = False
    """recalibrate: tell what would be set, and set nothing."""
    marked: bool = False
    """recalibrate: the camera's parts that people marked as good count too, where this very model judged them."""
    reset: bool = False
    """recalibrate: the bundle's thresholds hold again, and a recalibration of the camera that is under way ends."""


class Rate:
    """How many commands a second are heard: a program that runs wild must not keep the station from its work.

    It belongs to one thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is monotonic."""
        self._clock = clock
        self._second_s = float("-inf")
        self._heard = 0

    def is_exceeded(self) -> bool:
        """Count one more, and say whether that is too much. Told once in each second in which it is."""
        now_s = self._clock()
        if now_s - self._second_s >= 1.0:
            self._second_s, self._heard = now_s, 0
        self._heard += 1
        if self._heard == MOST_A_SECOND + 1:
            log.error("more than %d commands a second: the others are left out; find who sends them", MOST_A_SECOND)
        return self._heard > MOST_A_SECOND


def parse(message: Message) -> Command:
    """Read a command. Raises ConfigError where it is none, in words for whoever sent it."""
    verb = message.last_level
    if message.response_topic is not None and not is_response_topic(message.response_topic, message.topic):
        raise ConfigError(f"{verb}: no answer can be sent on its response topic, so nothing was done.")
    content = content_of(message.payload, verb, EXPECTED)
    for unknown in [key for key in content if key not in Command.model_fields]:
        raise ConfigError(f"{verb}: {unknown_key(shortened(unknown), unknown, OF_ALL + KEYS_OF.get(verb, ()))}")
    return parse_settings(content, Command, verb)


def is_response_topic(topic: str, asked: str) -> bool:
    """Whether an answer to what came on `asked` may go to `topic`: one of the sender's, not the broker's nor ours."""
    station = asked.rsplit("/", 2)[0] + "/"
    is_one = 0 < len(topic.encode(errors="replace")) <= LONGEST_TOPIC_BYTES and topic.isprintable()
    is_own = f"{topic}/".startswith(station) and topic != f"{station}cmd_reply"
    return is_one and not is_own and not topic.startswith("$") and set("+#").isdisjoint(topic)


def request_id_of(message: Message) -> str | None:
    """What the reply to a malformed command can still name."""
    try:
        request_id = as_text(content_of(message.payload, message.last_level, EXPECTED)["request_id"])
    except (ConfigError, KeyError):
        return None
    return request_id if isinstance(request_id, str) and len(request_id) <= 64 else None


def reply(
    message: Message, topic: str, *, error: str | None = None, detail: Mapping[str, Any] | None = None
) -> Outgoing:
    """Say how the command in `message` went, where `answer` says."""
    body = {
        "request_id": request_id_of(message),
        "verb": message.last_level,
        "ok": error is None,
        "error": error,
        "time": rfc3339(time.time()),
        "detail": dict(detail or {}),
    }
    return answer(message, topic, dumps(body))


def answer(message: Message, topic: str, body: bytes) -> Outgoing:
    """Address `body` to the response topic (MQTT 5) of `message` where it has one that is fit for it, else `topic`."""
    asked = message.response_topic
    where = asked if asked is not None and is_response_topic(asked, message.topic) else topic
    return Outgoing(where, body, correlation=message.correlation)


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of what stands in JSON. Raises ConfigError where a key stands twice: one of them is wrong."""
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise ConfigError(f"{name[:64]!a} appears twice; give it once.")
        content[name] = value
    return content


def content_of(payload: bytes, source: str, expected: str, longest_bytes: int = LONGEST_BYTES) -> dict[str, Any]:
    """Read a JSON object that can be told again: Python takes half characters (lone surrogates), which no text holds.

    Raises ConfigError where it is none, which names its `source` and says what was `expected`; where it is longer than
    `longest_bytes` before it is read: a megabyte of JSON takes all threads' time.
    """
    if len(payload) > longest_bytes:
        raise ConfigError(f"{source}: longer than {longest_bytes} bytes.")
    try:
        content = json.loads(payload, object_pairs_hook=once)
        json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: no valid JSON; {expected}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: {expected}")
    return content
