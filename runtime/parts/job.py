"""Jobs: what a camera's parts are made for, as the MES told it. Every event carries it. Pure."""

from dataclasses import dataclass, replace

from runtime.parts.frame import Trigger


@dataclass(frozen=True)
class Job:
    """What is worked on; all None where nobody told."""

    job_id: str | None = None
    recipe: str | None = None
    batch: str | None = None
    operator: str | None = None

    def told_by(self, trigger: Trigger | None) -> "Job":
        """Give what holds for a part whose trigger may name a job of its own: of two jobs nothing is mixed."""
        if trigger is None:
            return self
        if trigger.job_id not in (None, self.job_id):
            return Job(trigger.job_id, trigger.recipe)
        return replace(self, recipe=trigger.recipe or self.recipe)


NO_JOB = Job()
