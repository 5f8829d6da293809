"""Features: how a factory camera is set up by what it is made of, its GenICam description."""

import difflib
from collections.abc import Collection
from contextlib import suppress
from typing import Protocol

from runtime.cameras.feature_value import Feature
from runtime.cameras.settings import FactoryCameraSettings

INTEGERS = frozenset({"Integer", "IntConverter", "IntSwissKnife"})
FLOATS = frozenset({"Float", "Converter", "SwissKnife"})
"""Kinds of nodes that hold numbers."""
WITHOUT_VALUE = frozenset({"Command", "Category"})


class Nodes(Protocol):
    """A camera's description as its reader gives it. Whatever the camera or its description refuses is an OSError."""

    def names(self) -> Collection[str]:
        """Give the names of all nodes."""

    def features(self) -> Collection[str]:
        """Give the names of those that are meant for people."""

    def kind(self, name: str) -> str:
        """Say what a node is, as the description writes it: Integer, Enumeration, ..."""

    def entries(self, name: str) -> list[str]:
        """Give what an enumeration takes; nothing of another node."""

    def set(self, name: str, value: str) -> None:
        """Set a feature."""

    def execute(self, name: str) -> None:
        """Let the camera carry out a command."""


def set_up(nodes: Nodes, settings: FactoryCameraSettings, is_trial: bool = False) -> None:
    """Let a camera run freely, or wait for the software trigger, with the features and chunks that `settings` want.

    In a trial it runs freely after all that. Raises OSError for what it has not or refuses.
    """
    stop(nodes)
    run_freely(nodes)
    set_features(nodes, settings.features)
    if settings.trigger is not None and settings.trigger.mode == "software":
        wait_for_software(nodes)
    ask_for_chunks(nodes, settings.chunks)
    if is_trial:
        run_freely(nodes)


def set_features(nodes: Nodes, features: dict[str, Feature]) -> None:
    """Set a camera's features in their order.

    Raises OSError for one that it has not, naming the nearest that it has, and for a value that it refuses.
    """
    for name, value in features.items():
        if name not in nodes.names():
            nearest = difflib.get_close_matches(name, nodes.features(), n=1, cutoff=0.5)
            hint = f"did you mean `{nearest[0]}`?" if nearest else "see its data sheet"
            raise OSError(f"it has no feature `{name}`: {hint}")
        if nodes.kind(name) in WITHOUT_VALUE:
            raise OSError(f"it has no value to set in `{name}`, which is a {nodes.kind(name).lower()}")
        entries: list[str] = []
        try:
            entries = nodes.entries(name)
            nodes.set(name, _as_text(value, nodes.kind(name)))
        except OSError as error:
            takes = f"; it takes {', '.join(entries)}" if entries else ""
            raise OSError(f"it refuses `{name}: {value}` ({error}{takes})") from error


def stop(nodes: Nodes) -> None:
    """End what whoever had the camera before has left running: its frames would count, and features may be locked."""
    if "AcquisitionStop" in nodes.names():
        with suppress(OSError):  # of some it is refused where they do not film
            nodes.execute("AcquisitionStop")


def run_freely(nodes: Nodes) -> None:
    """Undo the triggers that whoever had the camera before has left switched on; each frame's is selected then."""
    if "TriggerMode" not in nodes.names():
        return
    selectors = nodes.entries("TriggerSelector") if "TriggerSelector" in nodes.names() else []
    for selector in sorted(selectors, key=lambda each: each == "FrameStart"):
        nodes.set("TriggerSelector", selector)
        nodes.set("TriggerMode", "Off")
    if not selectors:
        nodes.set("TriggerMode", "Off")


def wait_for_software(nodes: Nodes) -> None:
    """Let each frame wait for the software trigger. Raises OSError where the camera has none."""
    for name, value in {"TriggerSelector": "FrameStart", "TriggerSource": "Software", "TriggerMode": "On"}.items():
        if name != "TriggerSelector" or name in nodes.names():
            set_features(nodes, {name: value})


def ask_for_chunks(nodes: Nodes, chunks: tuple[str, ...]) -> None:
    """Let the camera say `chunks` of each frame. Raises OSError for those that it has not."""
    if not chunks:
        return
    known = nodes.entries("ChunkSelector") if "ChunkSelector" in nodes.names() else []
    unknown = [name for name in chunks if name not in known]
    if unknown:
        raise OSError(f"it has no chunk data `{unknown[0]}`; it has {', '.join(known) or 'none'}")
    nodes.set("ChunkModeActive", "true")
    for name in chunks:
        nodes.set("ChunkSelector", name)
        nodes.set("ChunkEnable", "true")


def numbers_of_chunks(nodes: Nodes) -> dict[str, type[int] | type[float]]:
    """Say which chunk features are numbers, and of which type: the type of a value in an event never changes."""
    numbers: dict[str, type[int] | type[float]] = {}
    for name in nodes.names():
        if name.startswith("Chunk") and nodes.kind(name) in INTEGERS | FLOATS:
            numbers[name] = int if nodes.kind(name) in INTEGERS else float
    return numbers


def _as_text(value: Feature, kind: str) -> str:
    """Write a value as the camera's description wants it; YAML reads On and Off as booleans."""
    if isinstance(value, bool):
        return ("Off", "On")[value] if kind == "Enumeration" else str(value).lower()
    return str(value)
