"""Configuration as people write it: what YAML would take for something else is refused, with its line."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import Settings, load_settings
from core.errors import ConfigError
from core.secrets import look_up_secret
from core.yaml_file import read_yaml

MERGES = "a0: &a0 {a: 1, b: 2}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 20)
)


class Door(Settings):
    name: str = "d"
    folder: Path = Path("f")
    doors: dict[str, Path] = {}
    limit: int | None = 3


def read(tmp_path: Path, text: str) -> Door:
    (tmp_path / "door.yaml").write_text(text, encoding="utf-8")
    return load_settings(tmp_path / "door.yaml", Door)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nlimit: 4\nname: b\n", "`name` stands twice, in lines 1 and 3"),
        ("doors:\n  left: a\n  right: b\n  left: c\n", "`left` stands twice, in lines 2 and 4"),
        ("doors: {left: a, left: b}\n", "`left` stands twice, in lines 1 and 1"),
        ("doors:\n  off: a\n", "line 2: `off` is read as something else than a name"),
        ("doors:\n  007: a\n", "line 2: `007`"),
        ("doors:\n  1_000: a\n", "line 2: `1_000`"),
        ("doors:\n  1e3: a\n  2.5: b\n", "line 3: `2.5`"),
        ("doors:\n  2026-11-25: a\n", "line 2: `2026-11-25`"),
        ("doors:\n  ~: a\n", "line 2: `~`"),
        ("doors:\n  [a, b]: c\n", "line 2: `this key`"),
        ("name:\n", "line 1: `name` is empty; give a value .`{}`: a section that is all as by default., or leave"),
        ("name: d\nlimit: # none\n", "line 2: `limit` is empty"),
        ("name: yes\n", "`name`: it is read as bool, not as text; put it in quotes"),
        ("name: 123\n", "`name`: it is read as int"),
        ("name: 0123\n", "line 1: `0123` is read as 83; put it in quotes, or write that"),
        ("limit: -017\n", "line 1: `-017` is read as -15"),
        ("limit: 1:30\n", "line 1: `1:30` is read as 90"),
        ("limit: 1:30.5\n", "line 1: `1:30.5` is read as 90.5"),
        ("limit: yes\n", "`limit` is read as true, not as a number"),
        ("limit: 1" + "0" * 16, r"`limit`: numbers up to 1e\+15 are allowed"),
        ("limit: '1" + "0" * 16 + "'", r"`limit`: numbers up to 1e\+15 are allowed"),
        (MERGES, "its merges .* make too many keys"),
        ("name: 2026-11-25\n", "`name`: it is read as date"),
        ("name: 2026-13-45\n", "not valid YAML"),
        ("name:\n\t- a\n", "found a tab; YAML takes spaces there, in line 2"),
        ("name: " + "[" * 9000, "nested too deeply|not valid YAML"),
        ("name: !!python/object:os.system x\n", "line 1: the tag `!!python/object:os.system` means nothing here"),
        ("name: !!bool x\n", "a value is not what the tag .* says"),
        ("name: !!timestamp x\n", "a value is not what the tag .* says"),
        (
            "limit: 4\nname: !include other.yaml\n",
            "line 2: the tag `!include` means nothing here; write the value itself",
        ),
    ],
)
def test_what_yaml_would_misread_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        read(tmp_path, text)
    assert "\n" not in str(refused.value)


def test_what_is_meant_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    door = read(tmp_path, '\ufeffname: "007"\nlimit: null\nfolder: ~/x\ndoors: {"on": ~/y, "8": a~b}\n')
    assert door == Door(name="007", limit=None, folder=Path("/home/anna/x"), doors=door.doors)
    assert door.doors["8"] == Path("a~b")


def test_merged_keys_may_be_written_anew(tmp_path: Path) -> None:
    text = "doors: &all {left: a, right: b}\n"
    assert read(tmp_path, text).doors["left"] == Path("a")
    with pytest.raises(ConfigError, match="unknown key `base`"):
        read(tmp_path, "base: &all {left: a, right: b}\ndoors:\n  <<: *all\n  left: c\n")


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="/dev/zero: larger than 1,048,576 bytes"):
        load_settings(Path("/dev/zero"), Door)


def test_a_home_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`folder`: .*no such home folder"):
        read(tmp_path, "folder: ~nobody-of-this-name/x\n")


@given(st.text(max_size=60) | st.text("ab:-[]{}&*!~ \n\t'\"#|>%@", max_size=40))
def test_whatever_a_file_holds_it_is_settings_or_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        load_settings(path, Door)
        said = ""
    except ConfigError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize("content", ["\ufeffs3cret\r\n", "s3cret\nold\n", "s3cret"])
def test_a_secret_is_the_first_line_without_what_an_editor_adds(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "password").write_bytes(content.encode())
    assert look_up_secret("broker.password", None, tmp_path / "password") == "s3cret"
    assert caplog.text == ""


def test_a_blank_at_the_end_of_a_secret_is_kept_and_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "password").write_text("s3cret \n")
    with caplog.at_level(logging.WARNING):
        assert look_up_secret("broker.password", None, tmp_path / "password") == "s3cret "
    assert "begins or ends with a space" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_new_line_at_the_end_of_a_variable_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PASSWORD", "s3cret\n")
    with caplog.at_level(logging.WARNING):
        assert look_up_secret("broker.password", "PASSWORD", None) == "s3cret\n"
    assert "broker.password: PASSWORD begins or ends with a space or a new line" in caplog.text
    assert "s3cret" not in caplog.text


def test_an_empty_secret_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a container's variable is given on from one that is not set: the broker would refuse the login."""
    monkeypatch.setenv("PASSWORD", "")
    (tmp_path / "password").write_text("\ns3cret\n")
    with pytest.raises(ConfigError, match=r"broker\.password_env: PASSWORD is empty"):
        look_up_secret("broker.password", "PASSWORD", None)
    with pytest.raises(ConfigError, match=r"broker\.password_file: the first line of .*password is empty"):
        look_up_secret("broker.password", None, tmp_path / "password")


def test_a_secret_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes("s3cret".encode("utf-16"))
    with pytest.raises(ConfigError, match=r"cannot be read \(it is no text in UTF-8\)"):
        look_up_secret("broker.password", None, tmp_path / "password")
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file or directory\)"):
        look_up_secret("broker.password", None, tmp_path / "not-there")


@pytest.mark.timeout(20)
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="it is a pipe, and nobody writes to it"):
        load_settings(tmp_path / "pipe", Door)
    with pytest.raises(ConfigError, match="cannot be read"):
        look_up_secret("broker.password", None, tmp_path / "pipe")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_in_another_encoding_is_refused_with_the_line_and_what_to_do(mark: bytes, tmp_path: Path) -> None:
    file = tmp_path / "inspection.yaml"
    file.write_bytes(mark + b"bundle: b\n\nstation: Pr\xfcfer\n")
    with pytest.raises(ConfigError, match=r"line 3 is not text in UTF-8; save it in UTF-8"):
        read_yaml(file)
