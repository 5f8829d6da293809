"""Reload: another bundle is checked, opened and warmed up aside while judging goes on, and then takes over."""

from dataclasses import dataclass
from pathlib import Path

from core.errors import ArtifactError, ConfigError, PwaeError
from core.pictures.geometry import ModelInput
from runtime.bundles.bundle import Bundle
from runtime.commands.command import Command
from runtime.commands.replies import Replies
from runtime.inference.detector import Detector
from runtime.inference.model_in_use import ModelInUse
from runtime.mqtt.message import Message
from runtime.threads.worker import Worker


@dataclass
class _Opening:
    message: Message
    model: ModelInUse
    """Whose place it takes."""
    outcome: Detector | PwaeError | None = None
    """Set by the thread that opens, once."""


class Reload:
    """The one bundle that is being opened, if any. Belongs to the thread that judges."""

    def __init__(self, replies: Replies) -> None:
        """`replies` are how whoever asked is told."""
        self._replies = replies
        self._opening: _Opening | None = None

    def begin(self, model: ModelInUse, command: Command, message: Message) -> None:
        """Open what `command` names beside the bundle of `model`. Raises ConfigError while another is opened."""
        bundle = model.require_bundle()
        if self._opening is not None:
            raise ConfigError("reload: another one is under way.")
        path = bundle.path.resolve().with_name(command.bundle) if command.bundle else bundle.path
        opening = self._opening = _Opening(message, model)

        def prepare() -> None:
            try:
                opening.outcome = _open_alike(path, model, bundle)
            except PwaeError as error:
                opening.outcome = error
            except Exception as error:  # whatever a bundle does, the one in use goes on
                opening.outcome = ArtifactError(f"{path}: cannot be used ({error}).")

        Worker("reload", prepare).start()

    @property
    def is_under_way(self) -> bool:
        """Whether a bundle is being opened, or waits to take over."""
        return self._opening is not None

    @property
    def is_ready(self) -> bool:
        """Whether a new model waits for the batches under way to end."""
        return self._opening is not None and isinstance(self._opening.outcome, Detector)

    def look(self) -> None:
        """Tell of an opening that failed."""
        if self._opening is not None and isinstance(self._opening.outcome, PwaeError):
            self._replies.refuse(self._opening.message, f"{self._opening.outcome} The bundle in use is kept.")
            self._opening = None

    def take(self) -> tuple[ModelInUse, Detector]:
        """Hand the new model over, and say whose place it takes; call it between two batches, where it `is_ready`."""
        opening, self._opening = self._opening, None
        if opening is None or not isinstance(opening.outcome, Detector):
            raise RuntimeError("no new model waits")
        manifest = opening.outcome.bundle.manifest
        self._replies.done(opening.message, {"model": manifest.name, "sha256": manifest.model_sha256})
        return opening.model, opening.outcome

    def end(self) -> list[Message]:
        """Close what nobody takes any more; gives those who wait for nothing any more."""
        if self._opening is None:
            return []
        if isinstance(self._opening.outcome, Detector):
            self._opening.outcome.backend.close()
        return [self._opening.message]


def _open_alike(path: Path, model: ModelInUse, bundle: Bundle) -> Detector:
    detector = model.open(path)
    old, new = bundle.manifest, detector.bundle.manifest
    if old.input != new.input:
        detector.backend.close()
        raise ArtifactError(f"{path}: takes {_told(new.input)}, the one in use {_told(old.input)}; restart with it.")
    return detector


def _told(seen: ModelInput) -> str:
    part = "none" if seen.pose is None else f"{seen.pose.size}{' turned upright' if seen.pose.upright else ''}"
    return f"{seen.width} x {seen.height} pixels (part {part}, region {seen.roi}, {seen.bits} bits)"
