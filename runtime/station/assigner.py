"""The assigner: says of each part, when it gets its row, which model judges it. For any thread."""

from runtime.batching.task import Task
from runtime.commands.jobs import Jobs
from runtime.inference.models import Models
from runtime.parts.frame import Trigger
from runtime.parts.job import Job


class Assigner:
    """By the recipe of the part's job, where the station has several models. See Assign."""

    def __init__(self, models: Models, jobs: Jobs) -> None:
        """Choose among `models`."""
        self._models = models
        self._jobs = jobs

    def __call__(self, stream: str, trigger: Trigger | None) -> Task:
        """See Assign."""
        return self._task(stream, self._jobs.now(stream, trigger) if self._models.has_recipes else None)

    def asked(self, stream: str, recipe: str | None) -> Task:
        """Give what is to be done with a picture that somebody asks about: of no job, but judged as `recipe`.

        Where None is told, as the recipe of the job under way.
        """
        return self._task(stream, Job(recipe=recipe or self._jobs.now(stream, None).recipe))

    def _task(self, stream: str, job: Job | None) -> Task:
        model, faults = self._models.choose(None if job is None else job.recipe)
        origin = model.origin
        return Task(stream, origin.manifest.input, origin.recipe, model.fit, job, faults)
