"""An engine that opens, and fails at the first pictures that it is given."""

from types import ModuleType
from typing import Any

import pytest


def let_engines_fail(monkeypatch: pytest.MonkeyPatch, opens: ModuleType) -> None:
    """Have every backend fail that the `open_backend` of the module `opens` gives."""
    opened = opens.open_backend

    def fails(*_: Any) -> None:
        raise RuntimeError("no memory")

    def failing(*arguments: Any) -> Any:
        backend = opened(*arguments)
        monkeypatch.setattr(backend, "_run", fails)
        return backend

    monkeypatch.setattr(opens, "open_backend", failing)
