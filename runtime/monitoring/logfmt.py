"""Log lines as logfmt: one line each, `time= level= from= msg=` and then the message's own `key=value` pairs."""

import logging
import re
import sys

from core.errors import shown
from core.timestamps import rfc3339

PAIRS = re.compile(r" (?=[a-z_]+=)")
PYTHON_QUOTES = re.compile(r"='([^'\"]*)'")


class Logfmt(logging.Formatter):
    """Formats `log.warning("broker away reason=%r", "no route")` as `… msg="broker away" reason="no route"`."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter. A message over several lines is joined to one; strangers' words steer no terminal."""
        text = shown(" ".join(super().format(record).split()))
        words, *pairs = PAIRS.split(text, maxsplit=1)
        escaped = words.replace("\\", "\\\\").replace('"', '\\"')
        head = f'time={rfc3339(record.created)} level={record.levelname.lower()} from={record.name} msg="{escaped}"'
        return " ".join([head, *(PYTHON_QUOTES.sub(r'="\1"', pair) for pair in pairs)])


def log_to_stderr() -> None:
    """Send what is worth a line (never a frame) to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Logfmt())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
