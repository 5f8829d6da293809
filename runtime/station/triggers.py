"""Triggers: where those of a station's cameras come in, and who is told of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from runtime.actuator.verdicts import Verdicts
from runtime.cameras.camera import Camera
from runtime.cameras.triggering import TakesTriggers
from runtime.commands.trigger_messages import Missed, TriggerHandler
from runtime.commands.trigger_refusals import TriggerRefusals
from runtime.delivery.publisher import Publisher
from runtime.parts.frame import Trigger
from runtime.parts.part import Part
from runtime.settings import InspectionSettings


def trigger_handler(
    cameras: Mapping[str, Camera],
    settings: InspectionSettings,
    publisher: Publisher,
    verdicts: Verdicts,
    miss: Callable[[Sequence[Part]], None],
) -> TriggerHandler:
    """Give what takes trigger messages to `cameras`; `miss` stores events of parts without a frame, on any thread."""

    def tell_missed(missed: Sequence[Missed]) -> None:
        parts = []
        for each in missed:
            *others, last = settings.cameras[each.camera].streams(each.camera)
            for stream in (*others, last):
                part = Part(stream, each.trigger.target, None, None, (each.reason,), each.trigger)
                parts.append(replace(part, cause=each.trigger.cause if stream == last else None))
        miss(parts)

    triggered: dict[str, TakesTriggers] = {
        name: _Expecting(camera.triggered, list(settings.cameras[name].streams(name)), verdicts)
        for name, camera in cameras.items()
        if camera.triggered is not None
    }
    refuse = TriggerRefusals(publisher, settings.topics).tell
    return TriggerHandler(triggered, publisher.acknowledge, publisher.outbox, tell_missed, refuse)


class _Expecting:
    """A part that is told of before its frame comes is expected from its trigger on."""

    def __init__(self, inner: TakesTriggers, streams: Sequence[str], verdicts: Verdicts) -> None:
        self.takes_ahead = inner.takes_ahead
        self._inner = inner
        self._streams = streams
        self._verdicts = verdicts

    def ask(self, trigger: Trigger) -> None:
        """See TakesTriggers."""
        expected = () if self.takes_ahead else self._streams
        for stream in expected:  # before its camera knows of it: the verdict may stand at once
            self._verdicts.expect_triggered(stream, trigger)
        try:
            self._inner.ask(trigger)
        except ValueError:
            for stream in expected:
                self._verdicts.forget_triggered(stream, trigger)
            raise
