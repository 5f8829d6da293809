from datetime import time
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, Field, StringConstraints

from core.config import Name, Settings, load_settings, parse_settings
from core.errors import ConfigError


class Folder(Settings):
    kind: Literal["folder"]
    path: str


class Rtsp(Settings):
    kind: Literal["rtsp"]
    url: str = Field(pattern="^rtsp://|^x$", examples=["rtsp://10.0.0.7/stream"])
    timeout_s: float = 5.0


def _refuse(value: str) -> str:
    raise ValueError(f"{value} was said; say something else")


def _require_even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value


class Station(Settings):
    name: Annotated[str, StringConstraints(max_length=3)]
    title: Name = "a"
    named: dict[Name, int] = {}
    even: Annotated[int, AfterValidator(_require_even)] = 0
    batch: Annotated[int, Field(ge=1)] = 8
    said: Annotated[str, AfterValidator(_refuse)] = ""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    at: time = time(6)
    is_on: bool = False
    pair: Annotated[list[int], Field(min_length=2)] = [1, 2]
    filled: Annotated[dict[str, int], Field(min_length=1)] = {"a": 1}
    camera: Rtsp | None = None
    cameras: dict[str, Annotated[Folder | Rtsp, Field(discriminator="kind")]] = {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"name": "a", "bacth": 3}, r"unknown key `bacth`: did you mean `batch`\?"),
        ({"name": "a", "camera": {"kind": "rtsp", "url": "x", "timeout": 1}}, r"did you mean `timeout_s`\?"),
        ({"name": "a", "cameras": {"top": {"kind": "rtsp", "uri": "x"}}}, r"did you mean `url`\?"),
        ({"name": "a", "cameras": {"top": {"kind": "rtsp", "rtsp": "x"}}}, "unknown key `cameras.top.rtsp`"),
        ({"name": "a", "BATCH": 3}, r"unknown key `BATCH`: did you mean `batch`\?"),
        (
            {"name": "a", "zzz": 1},
            "valid keys here: at, batch, camera, cameras, even, filled, is_on, name, named, pair, s",
        ),
        ({"batch": 3}, r"`name` is missing\.$"),
        ({"batch": 3, "bacth": 3}, r"`name` is missing; unknown key `bacth`"),
        ({"name": "a", "batch": 0}, "`batch`: it is 0; 1 or more is needed"),
        ({"name": "a", "share": 1.5}, "`share`: it is 1.5; less than 1 is needed"),
        ({"name": "a", "share": float("inf")}, "`share`: it is inf; a finite number is needed"),
        ({"name": "a", "named": {"b": 1.5}}, "`named.b`: it is read as float; a whole number is needed"),
        ({"name": "a", "at": "25:00"}, "`at`: it is 25:00; a time is needed, as in '06:00'"),
        ({"name": "a", "is_on": []}, "`is_on`: it is read as list; true or false is needed"),
        ({"name": "abcd"}, "`name`: it has more than 3 characters"),
        ({"name": "a", "pair": [1]}, "`pair`: 2 of them are needed"),
        ({"name": None}, "`name`: it is empty; a text is needed"),
        ({"name": False}, "`name`: it is read as bool, not as text; put it in quotes"),  # YAML's `no`
        (
            {"name": "a", "camera": {"kind": "rtsp", "url": "10.0.0.7"}},
            "`camera.url`: it has to be as in rtsp://10.0.0.7/",
        ),
        ({"name": "a", "title": "press 3"}, "`title`: 1 to 64 letters from A to Z, digits, `_` or `-` are taken"),
        ({"name": "a", "even": 3}, "station.yaml: `even`: 3 is odd$"),
        ({"name": "a", "named": {"a b": 1}}, "`named.a b`: 1 to 64 letters from A to Z"),
        ({"name": "a", "cameras": {"top": {}}}, "`cameras.top`: `kind` is missing: folder, rtsp can stand there"),
        ({"name": "a", "filled": {}}, "`filled`: it is empty; at least one is needed"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_key(content: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_settings(content, Station, "station.yaml")


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "text",
    [
        f"{LONG}: 1",
        f"name: a\nbatch: {{{LONG}: 1}}",
        f"name: a\ncamera: {{kind: {LONG}}}",
        f"name: a\ncameras: {{{LONG}: {{kind: rtsp}}}}",
        f"name: a\ncameras: {{top: {{kind: [{LONG}, {LONG}]}}}}",
        f"name: a\nsaid: {LONG}",
        f"name: a\nname: !{LONG} b",
        f"{LONG}: 1\n{LONG}: 2",
        f"name: *{LONG}",
        "name: a\nnamed: {" + ", ".join(f"a.{number}: 1" for number in range(5000)) + "}",
    ],
)
def test_however_much_a_file_holds_a_mistake_is_told_in_words_that_can_be_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_settings(tmp_path / "a.yaml", Station)
    assert len(str(refused.value)) < 2000


def test_of_many_mistakes_it_is_told_how_many_more_there_are() -> None:
    named = {f"a.{number}": 1 for number in range(50)}
    with pytest.raises(ConfigError, match=r"`named\.a\.18`: [^;]*; and 31 more mistakes\.$"):
        parse_settings({"name": "a", "named": named}, Station, "a.yaml")


def test_of_many_unknown_keys_the_valid_ones_are_told() -> None:
    unknown = {f"zzz{number}": 1 for number in range(50)}
    with pytest.raises(ConfigError, match=r"`zzz18`: valid keys here: [^;]*title; and 31 more mistakes\.$"):
        parse_settings({"name": "a", **unknown}, Station, "a.yaml")
