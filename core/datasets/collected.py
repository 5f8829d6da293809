"""How pictures were collected, in a file beside them: what nobody sees in the pictures."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import DataError
from core.files import write_whole

FILE = "collected.json"
"""In the folder of a data set."""


class Collected(BaseModel):
    """What is known of the pictures of one collection."""

    # A later version may tell more.
    model_config = ConfigDict(frozen=True, extra="ignore")

    may_show_a_part_again: bool = False
    """Nothing told the camera, or one of several, when a new part had come."""


def save_collected(folder: Path, collected: Collected) -> None:
    """Write it into the data set's folder. Raises OSError."""
    write_whole(folder / FILE, f"{collected.model_dump_json(indent=2)}\n".encode())


def load_collected(folder: Path) -> Collected:
    """Read it; where there is none, nothing is known. Raises DataError where it is damaged."""
    file = folder / FILE
    if not file.is_file():
        return Collected()
    try:
        return Collected.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(f"{file}: cannot be read, or is damaged; remove it, or collect the pictures again.") from error
