"""Every command that a page shows can be typed as it stands."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.test_commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
NAMES = "|".join(COMMANDS)
AFTER = re.compile(r"\s#|&&|\||>|;")
"""What ends a command on its line."""


def shown(page: Path) -> list[str]:
    """The commands of a page: those in lines of their own, and those in a sentence that name a file or folder."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(rf"^ *((?:{NAMES}) .*)$", "\n".join(re.findall(r"^    .*$", text, re.MULTILINE)), re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(rf"`((?:{NAMES}) [^`]+)`", text)]
    return [AFTER.split(command)[0] for command in [*lines, *(span for span in spans if re.search(r"[/.]\w", span))]]


def parse(words: list[str]) -> None:
    """Take a command apart as the program does. Raises a click error where it would refuse it."""
    module = sys.modules[COMMANDS[words[0]].__module__]
    first = next(value for value in vars(module).values() if isinstance(value, typer.Typer))
    command: Any = typer.main.get_command(first)
    parent, name, rest = None, words[0], words[1:]
    while True:
        parent = command.make_context(name, rest, parent=parent)
        if not hasattr(command, "resolve_command"):
            return
        name, command, rest = command.resolve_command(parent, [*parent._protected_args, *parent.args])


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))], ids=lambda path: path.name)
def test_every_command_that_a_page_shows_is_one(page: Path) -> None:
    refused = []
    for command in shown(page):
        try:
            parse(shlex.split(command))
        except Exception as error:
            refused.append(f"{command}: {error}")
    assert refused == []


def test_a_command_that_lacks_what_it_needs_would_be_found() -> None:
    with pytest.raises(Exception, match="Missing parameter: data"):
        parse(["export-engine", "verify", "bundles/my-part-8"])
    parse(["run-inspection", "evidence", "export", "inspection.yaml", "--output", "marked"])
