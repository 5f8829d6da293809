"""The start of a command: what its script calls, before the modules are imported that the command is made of."""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module

INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell gives it, and after SIGTERM or a terminal that was closed."""


def command(module: str, name: str) -> Callable[[], None]:
    """Give what imports `module` and calls its function `name`; Ctrl-C ends both in one line, and so does SIGTERM.

    Work is undone on the way as far as it has to be. What runs until it is stopped takes the signals over.
    """

    def start() -> None:
        _fill_standard_streams()
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:  # not ignored, as `nohup` has it
                signal.signal(number, signal.default_int_handler)
        try:
            getattr(import_module(module), name)()
        except (Exception, KeyboardInterrupt) as error:
            if not is_interruption(error):
                raise
            sys.stderr.write("interrupted\n")
            sys.exit(INTERRUPTED)

    return start


def _fill_standard_streams() -> None:
    """Let no file take the place of a closed standard stream: what compiled modules say would be written to it."""
    while (taken := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(taken, True)
    os.close(taken)


def is_interruption(error: BaseException | None) -> bool:
    """Say whether `error` came of Ctrl-C: compiled modules that are interrupted say that they cannot be imported."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
