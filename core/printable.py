"""What files and folders are called, as text that can be stored and drawn, whatever bytes their names have."""

from core.errors import shown


def printable(name: object) -> str:
    """Give a path or name as text that any encoding takes: odd bytes of one that is not UTF-8 are written out."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def caption(name: object, longest: int = 48) -> str:
    """Give a name as one line over its picture in a figure; of a longer one its end."""
    return shown(printable(name))[-longest:]
