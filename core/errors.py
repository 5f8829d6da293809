"""What can go wrong in a way a person can mend: one class a kind, each with its documented exit code."""

import re
from pathlib import Path

from core.start import INTERRUPTED

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What steers a terminal, ends a line, or turns text around, and is not seen itself."""


class PwaeError(Exception):
    """Something a person can mend. The message says what is wrong, where, and what to do, in one line."""

    exit_code = 1


class ConfigError(PwaeError):
    """A configuration file or command line that cannot be used."""

    exit_code = 2


class DataError(PwaeError):
    """Pictures that are missing, unreadable or too few."""

    exit_code = 3


class PartNotFoundError(DataError):
    """A picture in which no part lies that could be turned straight."""


class ArtifactError(PwaeError):
    """A checkpoint or bundle that is missing, damaged, or not what it claims to be."""

    exit_code = 4


class ParityError(PwaeError):
    """An exported model that does not judge as the trained one does."""

    exit_code = 5


class BackendError(PwaeError):
    """An inference backend that does not run on this machine, or more than it has memory for."""

    exit_code = 6


class CameraError(PwaeError):
    """A camera or file source that cannot be opened at start."""

    exit_code = 7


class BrokerError(PwaeError):
    """An MQTT broker that is unreachable at start, or refuses the login."""

    exit_code = 8


class OutboxError(PwaeError):
    """An outbox on disk that cannot be opened, read or written."""

    exit_code = 9


class RestartError(PwaeError):
    """A CUDA error that stays with the process: start it again."""

    exit_code = 10


class RollOutError(PwaeError):
    """A roll-out to a fleet that was stopped: a station failed, was late, or rejects more than before."""

    exit_code = 11


class PlcError(PwaeError):
    """A PLC that does not answer, or lacks the coils and registers of the configuration."""

    exit_code = 12


def about(path: Path, error: object) -> str:
    """Say what `error` says, with the file it is about before it where it does not name it."""
    return str(error) if str(path) in str(error) else f"{path}: {error}"


def one_line(error: object) -> str:
    """Give what an error of somebody else's says as one line; its kind, where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def shortened(text: str, longest: int = 100) -> str:
    """Give the beginning and the end of what is longer than anybody reads."""
    part = longest // 2
    return text if len(text) <= longest else f"{text[:part]} ... {text[-part:]}"


def shown(text: object) -> str:
    """Give text that may hold the name of a file as one line, with control characters escaped."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def exit_codes() -> dict[int, str]:
    """Give the exit codes of a command, each with what it means in words."""
    kinds = [kind for kind in PwaeError.__subclasses__() if "exit_code" in vars(kind)]
    return {
        0: "Done.",
        PwaeError.exit_code: "An unexpected fault: please report it.",
        **{kind.exit_code: (kind.__doc__ or "").partition("\n")[0] for kind in kinds},
        INTERRUPTED: "Interrupted.",
    }
