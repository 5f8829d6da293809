"""The batching's part of the configuration."""

from pydantic import Field

from core.config import Settings


class BatchingSettings(Settings):
    """A batch goes when it is full, or when its oldest frame has waited long enough."""

    max_batch: int = Field(default=8, ge=1, le=1024)
    max_wait_ms: float = Field(default=20.0, ge=0, le=60_000)
