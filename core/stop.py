"""The stop: how what runs until it is stopped is asked for its end."""


class Stop:
    """Asks for an end. A plain flag, so that a signal handler may set it at any moment."""

    reason: str | None = None
    is_heeded = False
    """Whether somebody looks at it. Until then a signal interrupts what is still set up."""
