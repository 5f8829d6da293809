"""The words of the pages, by language: a file of YAML each, in this package or in the station's own folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import ConfigError
from core.yaml_file import read_yaml

FOLDER = Path(__file__).with_name("words")
FALLBACK = "en"
Words = Mapping[str, Any]
"""What stands in en.yaml: text, or again words by their names."""


def load_words(own: Path | None = None) -> dict[str, Words]:
    """Read every language, by its code such as `de`; those in the folder `own` come on top, and count first.

    A word that a language lacks is English. Raises ConfigError where a file cannot be read, or has a word that no page
    knows.
    """
    english = _read(FOLDER / f"{FALLBACK}.yaml")
    found: dict[str, Words] = {FALLBACK: english}
    if own is not None and not own.is_dir():
        raise ConfigError(f"view.words_folder: {own} is no folder.")
    for folder in (FOLDER, own) if own is not None else (FOLDER,):
        for file in sorted(folder.glob("*.yaml")):
            found[file.stem.lower()] = _completed(_read(file), found.get(file.stem.lower(), english), str(file))
    return found


def choose_language(languages: Mapping[str, Words], chosen: str | None, accepted: str) -> str:
    """Give what was `chosen`, else the first of `accepted` (the header Accept-Language) that there is, else English."""
    wishes = [] if chosen is None else [(2.0, chosen)]
    for wish in accepted.split(","):
        tag, _, quality = wish.strip().partition(";q=")
        try:
            wishes.append((float(quality or 1), tag))
        except ValueError:
            continue
    for _quality, tag in sorted(wishes, key=lambda each: -each[0]):
        for code in (tag.lower(), tag.lower().partition("-")[0]):
            if code in languages:
                return code
    return FALLBACK


def _read(file: Path) -> Words:
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: expected `word: text` lines, as in {FOLDER / 'en.yaml'}.")
    return content


def _completed(words: Words, others: Words, source: str) -> Words:
    """Take what is missing from `others`. Raises ConfigError."""
    if unknown := sorted(set(words) - set(others)):
        raise ConfigError(f"{source}: no page has the word `{unknown[0]}`; see {FOLDER / 'en.yaml'}.")
    whole = dict(others)
    for key, text in words.items():
        if isinstance(others[key], dict) is not isinstance(text, dict):
            raise ConfigError(f"{source}: `{key}` is of another kind than in {FOLDER / 'en.yaml'}.")
        whole[key] = _completed(text, others[key], source) if isinstance(text, dict) else str(text)
    return whole
