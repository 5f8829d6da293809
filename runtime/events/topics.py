"""Topics: the tree below a plant's own prefix. No topic is ever published on together with its own child."""

import string
from collections.abc import Mapping
from dataclasses import dataclass

FORBIDDEN = frozenset(" +#$.&%=")
"""MQTT's wildcards, and what SCADA systems that turn topics into tag paths cannot take."""
GAP = "/gap"
"""The last level where gaps are told."""
LONGEST_BYTES = 65_000
"""Of a prefix: MQTT carries topics of up to 65,535 bytes, and ours are longer by their levels below it."""


@dataclass(frozen=True)
class Topics:
    """Every topic of one station."""

    prefix: str

    @property
    def status(self) -> str:
        """Retained, and the will: online or offline."""
        return f"{self.prefix}/status"

    @property
    def model(self) -> str:
        """Retained: the model that judges."""
        return f"{self.prefix}/model"

    @property
    def metrics(self) -> str:
        """How fast the station is, every few seconds; QoS 0."""
        return f"{self.prefix}/metrics"

    def result(self, camera: str) -> str:
        """One inspection event per judged part; not retained."""
        return f"{self.prefix}/camera/{camera}/result"

    def gap(self, camera: str) -> str:
        """Which of the camera's events were given up; not retained."""
        return gap_beside(self.result(camera))

    def camera_status(self, camera: str) -> str:
        """Retained: whether the camera gives frames."""
        return f"{self.prefix}/camera/{camera}/status"

    def trigger(self, camera: str) -> str:
        """Sent to us: a part stands before the camera."""
        return f"{self.prefix}/trigger/{camera}"

    def verdict(self, camera: str) -> str:
        """Of each part its verdict as soon as it stands, or that none came in time; QoS 0."""
        return f"{self.prefix}/camera/{camera}/verdict"

    def trigger_refused(self, camera: str) -> str:
        """Which trigger gives no event, and why; where it named no response topic."""
        return f"{self.prefix}/camera/{camera}/trigger_refused"

    def last(self, camera: str) -> str:
        """Retained: the camera's newest inspection event."""
        return f"{self.prefix}/camera/{camera}/last"

    def counters(self, camera: str) -> str:
        """Retained: the camera's totals since the start."""
        return f"{self.prefix}/camera/{camera}/counters"

    def review(self, camera: str) -> str:
        """What people said of judged parts afterwards; not retained."""
        return f"{self.prefix}/camera/{camera}/review"

    def job(self, camera: str) -> str:
        """Retained: the job that the camera works on, and its results so far."""
        return f"{self.prefix}/camera/{camera}/job"

    def snapshot(self, camera: str) -> str:
        """A JPEG of the camera's frame as the model saw it, where a command asked for it."""
        return f"{self.prefix}/camera/{camera}/snapshot"

    def command(self, verb: str) -> str:
        """What others may send to us."""
        return f"{self.prefix}/cmd/{verb}"

    @property
    def command_reply(self) -> str:
        """The reply to a command that named no response topic (MQTT 3.1.1)."""
        return f"{self.prefix}/cmd_reply"

    @property
    def doctor(self) -> str:
        """What `doctor` sends to itself, to see that it comes back."""
        return f"{self.prefix}/doctor"

    @property
    def bundle_desired(self) -> str:
        """Retained, sent to the station's agent: the bundle that it should have, signed."""
        return f"{self.prefix}/bundle/desired"

    @property
    def bundle_reported(self) -> str:
        """Retained, by the agent: the bundle that the station has."""
        return f"{self.prefix}/bundle/reported"

    @property
    def bundle_agent(self) -> str:
        """Retained, and the agent's will: `online` or `offline`."""
        return f"{self.prefix}/bundle/agent"


def gap_beside(result_topic: str) -> str:
    """Where the gaps of a camera are told: beside its results, and like them not retained."""
    return result_topic.removesuffix("/result") + GAP


def tells_of_a_gap(topic: str) -> bool:
    """Whether what is told there is no event, but stands in the place of some."""
    return topic.endswith(GAP)


def expand(template: str, names: Mapping[str, str]) -> str:
    """Fill the `{fields}` of a prefix template, as in `pwae/{site}/{area}/{line}/{station}`.

    Raises ValueError where it names an unknown field, or gives no topic that every broker and SCADA system takes.
    """
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise ValueError(f"{template!r} is no template: {error}") from error
    unknown = [field for field in fields if field not in names]
    if unknown:
        raise ValueError(f"{template!r} has an unknown field {{{unknown[0]}}}; known: {', '.join(names)}")
    prefix = template.format(**names)
    if not all(prefix.split("/")) or FORBIDDEN & set(prefix) or not prefix.isprintable():
        raise ValueError(f"{prefix!r} is no usable topic: levels must not be empty, nor hold spaces or any of +#$.&%=")
    if (size := len(prefix.encode())) > LONGEST_BYTES:
        raise ValueError(
            f"it has {size} bytes, of {LONGEST_BYTES} at most: MQTT carries 65535, the levels below it too"
        )
    return prefix
