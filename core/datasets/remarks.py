"""Remarks: what people said of pictures that a line judged, in a file beside them, and how these were cut."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from core.datasets.layout import named_from_above
from core.errors import DataError

FILE = "marked.json"
"""In the folder of a data set."""


class Truth(StrEnum):
    """What a part really was."""

    GOOD = "good"
    BAD = "bad"


class Remark(BaseModel):
    """What was said of one picture."""

    # A later version may tell more.
    model_config = ConfigDict(frozen=True, extra="ignore")

    was: Truth
    by: str
    note: str
    time: str
    """RFC 3339, UTC."""
    event_id: str
    verdict: str
    """What the part was judged."""
    is_cut: bool
    """The model that judged the part cut it out of the camera's picture (`network.roi`, `network.part_size`)."""


_Remarks = RootModel[dict[str, Remark]]


def save_remarks(folder: Path, remarks: Mapping[str, Remark]) -> None:
    """Write the remarks by the pictures' paths below `folder`."""
    content = _Remarks(dict(remarks)).model_dump_json(indent=2)
    (folder / FILE).write_text(content + "\n", encoding="utf-8", errors="backslashreplace")


def remarks_on(pictures: Iterable[Path]) -> dict[Path, Remark]:
    """Find what was said of pictures, in the folders that may tell of them. Raises DataError where one is damaged."""
    load, found = cache(_load), dict[Path, Remark]()
    for picture in pictures:
        for folder, name in named_from_above(picture):
            if said := load(folder).get(name):
                found.setdefault(picture, said)
    return found


def _load(folder: Path) -> dict[str, Remark]:
    file = folder / FILE
    if not file.is_file():
        return {}
    try:
        return _Remarks.model_validate_json(file.read_bytes()).root
    except (OSError, ValidationError) as error:
        raise DataError(f"{file}: cannot be read, or is damaged; export the marked pictures again.") from error
