"""Reload: another bundle is checked, opened and warmed up aside while judging goes on, and then takes over."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.errors import ArtifactError, ConfigError, PwaeError
from core.geometry import ModelInput
from runtime.bundles.bundle import Bundle
from runtime.commands.command import Command
from runtime.commands.replies import Replies
from runtime.delivery.message import Message
from runtime.inference.detector import Detector
from runtime.threads.worker import Worker


@dataclass
class _Opening:
    message: Message
    outcome: Detector | PwaeError | None = None
    """Set by the thread that opens, once."""


class Reload:
    """The one bundle that is being opened, if any. Belongs to the thread that judges."""

    def __init__(self, open_detector: Callable[[Path], Detector], replies: Replies) -> None:
        """`open_detector` takes its time, on a thread of its own."""
        self._open_detector = open_detector
        self._replies = replies
        self._opening: _Opening | None = None

    def begin(self, bundle: Bundle, command: Command, message: Message) -> None:
        """Open what `command` names beside `bundle`, the one in use. Raises ConfigError while another is opened."""
        if self._opening is not None:
            raise ConfigError("reload: another one is under way.")
        path = bundle.path.resolve().with_name(command.bundle) if command.bundle else bundle.path
        opening = self._opening = _Opening(message)

        def prepare() -> None:
            try:
                opening.outcome = self._open_alike(path, bundle)
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

    def take(self) -> Detector:
        """Hand the new model over; call it between two batches, where it `is_ready`."""
        opening, self._opening = self._opening, None
        if opening is None or not isinstance(opening.outcome, Detector):
            raise RuntimeError("no new model waits")
        manifest = opening.outcome.bundle.manifest
        self._replies.done(opening.message, {"model": manifest.name, "sha256": manifest.model_sha256})
        return opening.outcome

    def end(self) -> list[Message]:
        """Close what nobody takes any more; gives those who wait in vain."""
        if self._opening is None:
            return []
        if isinstance(self._opening.outcome, Detector):
            self._opening.outcome.backend.close()
        return [self._opening.message]

    def _open_alike(self, path: Path, bundle: Bundle) -> Detector:
        model = self._open_detector(path)
        old, new = bundle.manifest, model.bundle.manifest
        if old.input != new.input:
            model.backend.close()
            raise ArtifactError(
                f"{path}: takes {_told(new.input)}, the one in use {_told(old.input)}; restart with it."
            )
        return model


def _told(seen: ModelInput) -> str:
    return f"{seen.width} x {seen.height} pixels (part {seen.part_size}, region {seen.roi}, {seen.bits} bits)"
