from pathlib import Path
from typing import Literal

import pytest

from core.config import Settings, load_settings, parse_settings
from core.errors import ConfigError


class Folder(Settings):
    kind: Literal["folder"]
    path: str


class Station(Settings):
    name: str
    cameras: dict[str, Folder] = {}


def test_a_file_becomes_settings(tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    path.write_text("name: a\ncameras:\n  top: {kind: folder, path: /x}\n")
    assert load_settings(path, Station).cameras["top"] == Folder(kind="folder", path="/x")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "absent.yaml", Station)
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(ConfigError, match=r"not valid YAML: .*, in line 1, column 8") as refused:
        load_settings(broken, Station)
    assert "<unicode" not in str(refused.value)


def test_what_is_no_map_of_keys_is_refused() -> None:
    with pytest.raises(ConfigError, match="a.yaml: expected `key: value` lines, found list"):
        parse_settings(["a"], Station, "a.yaml")
