"""The words of the pages: every language has them all, and a station may bring its own."""

from pathlib import Path

import pytest
import yaml

from core.errors import ConfigError
from runtime.cameras.camera import CameraState
from runtime.history.entry import Kind
from runtime.parts.verdict import Reason, Verdict
from runtime.view.words import FOLDER, Words, choose_language, load_words


def keys(words: Words) -> set[str]:
    found = set(words)
    for key, text in words.items():
        found |= {f"{key}.{inner}" for inner in keys(text)} if isinstance(text, dict) else set()
    return found


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_language_of_ours_lacks_no_word(file: Path) -> None:
    assert keys(yaml.safe_load(file.read_text(encoding="utf-8"))) == keys(load_words()["en"])


def test_there_is_a_word_for_whatever_is_told() -> None:
    words = load_words()["en"]
    assert set(words["verdicts"]) == {verdict.word for verdict in Verdict}
    assert set(words["reasons"]) == set(Reason)
    assert set(words["states"]) >= {*CameraState, "ended", "died", "starting"}
    assert {kind.value for kind in Kind} <= {*words, *words["verdicts"]}


def test_a_station_adds_a_language_by_a_file_and_what_it_lacks_is_english(tmp_path: Path) -> None:
    (tmp_path / "fr.yaml").write_text("language: français\nhistory: historique\nverdicts: {OK: BON}\n")
    (tmp_path / "de.yaml").write_text("job: Los\n")
    words = load_words(tmp_path)
    assert (words["fr"]["history"], words["fr"]["verdicts"]["OK"]) == ("historique", "BON")
    assert words["fr"]["verdicts"]["NotOK"] == words["en"]["verdicts"]["NotOK"]
    assert (words["de"]["job"], words["de"]["history"]) == ("Los", "Verlauf")


@pytest.mark.parametrize("text", ["histroy: x", "verdicts: OK", "- a list", "history: [a", "\xff"])
def test_a_file_of_words_that_no_page_can_use_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "fr.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="fr.yaml"):
        load_words(tmp_path)


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, "fr,zh-CN;q=0.5,en;q=0.1", "zh"),
        ("zh", "de", "zh"),
        ("../etc", "fr;q=x,;q=", "en"),
    ],
)
def test_a_browser_gets_the_language_it_asks_for(chosen: str | None, accepted: str, language: str) -> None:
    assert choose_language(load_words(), chosen, accepted) == language
