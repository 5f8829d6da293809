"""The batching's part of the configuration."""

from pydantic import Field

from core.config import Settings

USUAL_BATCH = 8
LARGEST_BATCH = 1024


class BatchingSettings(Settings):
    """A batch goes when it is full, or when its oldest frame has waited long enough."""

    max_batch: int = Field(default=USUAL_BATCH, ge=1, le=LARGEST_BATCH)
    max_wait_ms: float = Field(default=20.0, ge=0, le=60_000)
