"""Features: how a factory camera is set up by what it is made of, its GenICam description."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from core.errors import one_line
from runtime.cameras.settings import Feature

if TYPE_CHECKING:
    import viva_genicam

INTEGERS = frozenset({"Integer", "IntConverter", "IntSwissKnife"})
FLOATS = frozenset({"Float", "Converter", "SwissKnife"})
"""Kinds of features that hold numbers."""


@contextmanager
def told() -> Iterator[None]:
    """Carry the library's errors over to OSError, whose text the camera's status tells."""
    import viva_genicam as vg

    try:
        yield
    except vg.GenicamError as error:
        raise OSError(one_line(error)) from error


def set_features(camera: viva_genicam.Camera, features: dict[str, Feature]) -> None:
    """Set a camera's features in their order.

    Raises OSError for one that it has not, naming the nearest that it has, and for a value that it refuses.
    """
    import viva_genicam as vg

    for name, value in features.items():
        if name not in camera.nodes():
            known = [feature for names in camera.categories().values() for feature in names]
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean `{nearest[0]}`?" if nearest else "see its data sheet"
            raise OSError(f"it has no feature `{name}`: {hint}")
        try:
            state = camera.feature_state(name)
            camera.set(name, _as_text(value, state.kind))
        except vg.GenicamError as error:
            entries = f"; it takes {', '.join(state.enum_entries)}" if state.enum_entries else ""
            raise OSError(f"it refuses `{name}: {value}` ({one_line(error)}{entries})") from error


def run_freely(camera: viva_genicam.Camera) -> None:
    """Undo the triggers that whoever had the camera before has left switched on; each frame's is selected then."""
    if "TriggerMode" not in camera.nodes():
        return
    selectors = camera.available_enum_entries("TriggerSelector")
    for selector in sorted(selectors, key=lambda each: each == "FrameStart"):
        camera.disable_trigger(selector)


def ask_for_chunks(camera: viva_genicam.Camera, chunks: tuple[str, ...]) -> None:
    """Let the camera say `chunks` of each frame. Raises OSError for those that it has not."""
    if not chunks:
        return
    known = camera.enum_entries("ChunkSelector") if "ChunkSelector" in camera.nodes() else []
    unknown = [name for name in chunks if name not in known]
    if unknown:
        raise OSError(f"it has no chunk data `{unknown[0]}`; it has {', '.join(known) or 'none'}")
    with told():
        camera.configure_chunks(list(chunks))


def numbers_of_chunks(camera: viva_genicam.Camera) -> dict[str, type[int] | type[float]]:
    """Say which chunk features are numbers, and of which type: the type of a value in an event never changes."""
    numbers: dict[str, type[int] | type[float]] = {}
    for node in camera.all_node_info():
        if node.name.startswith("Chunk") and node.kind in INTEGERS | FLOATS:
            numbers[node.name] = int if node.kind in INTEGERS else float
    return numbers


def _as_text(value: Feature, kind: str) -> str:
    """Write a value as the camera's description wants it; YAML reads On and Off as booleans."""
    if isinstance(value, bool):
        return ("Off", "On")[value] if kind == "Enumeration" else str(value).lower()
    return str(value)
