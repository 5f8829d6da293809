"""The start of a command: what its script calls, before the modules are imported that the command is made of."""

import sys
from collections.abc import Callable
from importlib import import_module

INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell gives it."""


def command(module: str, name: str) -> Callable[[], None]:
    """Give what imports `module` and calls its function `name`; Ctrl-C ends both in one line."""

    def start() -> None:
        try:
            getattr(import_module(module), name)()
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            sys.exit(INTERRUPTED)

    return start
