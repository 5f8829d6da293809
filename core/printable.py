"""What files and folders are called, as text that can be stored and drawn, whatever bytes their names have."""

import re
import unicodedata

from core.errors import shown

_LONGEST_NAME = 100
_LETTERS = {
    **{"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th", "ŋ": "ng", "Ŋ": "NG"},
    **dict(zip("øØłŁđĐðÐħĦŧŦı", "oOlLdDdDhHtTi", strict=True)),
}
_WRITTEN = str.maketrans(_LETTERS)
"""Letters that are no plain one with an accent, as Unicode counts."""


def printable(name: object) -> str:
    """Give a path or name as text that any encoding takes: odd bytes of one that is not UTF-8 are written out."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def caption(name: object, longest: int = 48) -> str:
    """Give a name as one line over its picture in a figure; of a longer one its end, after dots."""
    text = shown(printable(name))
    return text if len(text) <= longest else f"…{text[1 - longest :]}"


def plain_name(text: str) -> str:
    """Give a name as one that files and folders have on every system, in letters of ASCII, digits, `_` and `-`."""
    letters = unicodedata.normalize("NFKD", text.translate(_WRITTEN))
    unaccented = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"[^A-Za-z0-9_-]+", "-", unaccented)[:_LONGEST_NAME].strip("-") or "my-part"
