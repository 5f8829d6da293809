"""The judging loop: batches in, judged parts out. It belongs to the thread that judges, which owns the backend."""

import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from runtime.actuator.verdicts import Verdicts
from runtime.batching.batcher import Batcher
from runtime.commands.handler import CommandHandler
from runtime.events.event import JudgedPart, Timing, event_of
from runtime.inference.models import Models
from runtime.inference.run import InferenceRun
from runtime.parts.part import Part
from runtime.parts.verdict import Reason, judge
from runtime.station.assigner import Assigner
from runtime.station.picture_capture import PictureCapture
from runtime.station.reporter import Reporter

NO_TIME = Timing(0.0, 0.0, 0.0)
TURN_S = 0.1
"""How often the waiting loop looks up: a stop is noticed within this time and one batch."""


class JudgingLoop:
    """Keeps batches under way in the backend, and changes model or engine between two of them."""

    def __init__(
        self,
        models: Models,
        commands: CommandHandler,
        pictures: PictureCapture,
        reporter: Reporter,
        verdicts: Verdicts,
    ) -> None:
        """Judge with `models`; `verdicts` tell at once, `reporter` for good.

        `commands` may hold that up, or change a model.
        """
        self.models = models
        self.assign = Assigner(models, reporter.jobs)
        self.pictures = pictures
        self.verdicts = verdicts
        self.batcher: Batcher | None = None
        """Whose batches are judged; None before the first."""
        self._commands = commands
        self._reporter = reporter
        self._under_way: deque[InferenceRun] = deque()

    @property
    def pause(self) -> str:
        """Who holds the judging, in words; empty while nobody does."""
        return self._commands.pause

    @property
    def is_idle(self) -> bool:
        """Whether no batch is under way."""
        return not self._under_way

    def turn(self, batcher: Batcher, is_stopped: bool) -> Sequence[JudgedPart]:
        """Do what is to be done next, waiting up to TURN_S and for one batch; give the parts whose events are on disk.

        Where it is stopped, only what is under way is judged.
        """
        self.verdicts.alive()
        self.batcher = batcher
        self._commands.serve()
        if not self._under_way:
            self._change_engines(batcher)
        # The rows of the next batch are closed as late as can be, so that its frames are new.
        done = self._wait() if len(self._under_way) == self.models.depth else None
        # In a pause the frames that are written are judged still: when it ends they would be old.
        batcher.hold(bool(self.pause))
        is_held = self._commands.has_new_model or bool(self.models.recovery.problem)
        if is_held and done is None and not self._under_way and not is_stopped:
            time.sleep(TURN_S)
        batch = None if is_stopped or is_held else batcher.take(0.0 if self._under_way or done else TURN_S)
        if batch is not None:
            self._under_way.append(InferenceRun(self.models[batch.recipe].backend, batch))
        elif done is None and self._under_way:
            done = self._wait()
        return [] if done is None else self._judge(done, batcher)

    def miss(self, parts: Sequence[Part]) -> None:
        """Tell of parts without a frame, which need not wait for the model. For any thread; raises OutboxError."""
        with self._reporter.numbering:
            judged = []
            for part in parts:
                if self._was_told(part):
                    continue
                job = self._reporter.jobs.now(part.camera, part.trigger)
                model, faults = self.models.choose(job.recipe)
                origin, thresholds = model.origin, model.thresholds[part.camera]
                seq = self._reporter.numbering.next(part.camera)
                judgement = judge(np.empty(0, np.float32), thresholds, (*part.faults, *faults))
                notice = self.verdicts.stand(part, judgement, seq, origin)
                judged.append(JudgedPart(part, origin, judgement, seq, thresholds, NO_TIME, None, notice, job))
            self._reporter.store(judged)

    def end(self) -> None:
        """Nothing is judged any more: neither an engine nor an answer to a command is to be waited for."""
        for model in self.models.each:
            model.recovery.cancel()
        self._commands.end()

    def _wait(self) -> InferenceRun:
        """Wait for the oldest batch; where the engine fails, nothing counts that was under way in it."""
        run = self._under_way.popleft().wait()
        model = self.models[run.batch.recipe]
        if model.recovery.problem:
            run.fault = run.fault or model.recovery.problem
        elif run.fault:
            # What stays with the process goes only when all let go of the GPU.
            broken = [each for each in self.models.each if each is model or run.is_sticky]
            for each in broken:
                if not each.recovery.problem:
                    each.recovery.begin(each.backend, run.fault, run.is_sticky)
        else:
            model.recovery.went_well()
        return run

    def _judge(self, run: InferenceRun, batcher: Batcher) -> list[JudgedPart]:
        with self._reporter.numbering:
            judged = self._number_and_judge(run)
            self._reporter.report(judged)
        if not run.fault:
            self._commands.watch(judged)
        batcher.release(run.batch)
        return judged

    def _number_and_judge(self, run: InferenceRun) -> list[JudgedPart]:
        faults = (Reason.ENGINE_FAULT,) if run.fault else ()
        model = self.models[run.batch.recipe]
        origin, told_of = model.origin, list[tuple[int, JudgedPart]]()
        for row, (part, task) in enumerate(zip(run.batch.written, run.batch.tasks, strict=True)):
            if self._was_told(part):
                continue
            thresholds = model.thresholds[part.camera]
            judgement = judge(run.errors[row], thresholds, (*part.faults_at(run.submitted_s), *faults))
            job = self._reporter.jobs.of(part, task.job)
            if part.answers is not None:
                answer = JudgedPart(part, origin, judgement, 1, thresholds, _timing(part, run), None, job=job)
                part.answers.put(event_of(answer))
                continue
            seq = self._reporter.numbering.next(part.camera)
            notice = self.verdicts.stand(part, judgement, seq, origin)
            each = JudgedPart(part, origin, judgement, seq, thresholds, _timing(part, run), None, notice, job)
            told_of.append((row, each))
        # What is shown may have to wait for the engine; the verdicts do not.
        return [self.pictures.capture(run, row, each) for row, each in told_of]

    def _was_told(self, part: Part) -> bool:
        """Whether the broker handed its trigger over once more, which was told of in part when a run ended."""
        cause = part.own_cause
        if part.trigger is None or cause is None or cause == part.cause or not self._reporter.has_told(cause):
            return False
        self.verdicts.forget_triggered(part.camera, part.trigger)
        return True

    def _change_engines(self, batcher: Batcher) -> None:
        """Between two batches: let a new model take over, or engines that are open again; no frame is lost."""
        opened = [model for model in self.models.each if model.recovery.opened]
        if not (self._commands.has_new_model or opened) or not batcher.settle():
            return
        for model in opened:
            model.use_backend(model.recovery.take())
        if self._commands.has_new_model:
            opened.append(self.models[self._commands.use_new_model()])
        for model in opened:
            batcher.exchange(model.origin.recipe, model.backend.new_batch, model.buffers)


def _timing(part: Part, run: InferenceRun) -> Timing:
    return Timing(
        capture_to_infer=(run.submitted_s - part.captured.s) * 1000,
        infer=(run.inferred_s - run.submitted_s) * 1000,
        total=(time.monotonic() - part.captured.s) * 1000,
    )
