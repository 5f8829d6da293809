"""The configuration: what is refused, and with which words."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from core.config import load_settings
from core.config_faults import NAME
from core.errors import ConfigError
from runtime.mqtt.settings import BrokerSettings
from runtime.settings import InspectionSettings

SMALLEST = "bundle: b\nstation: s1\ncameras:\n  top: {kind: folder, path: p}\n"
FACTORY = SMALLEST.replace("kind: folder, path: p", "kind: genicam, address: 10.0.0.7")


def load(tmp_path: Path, text: str) -> InspectionSettings:
    path = tmp_path / "inspection.yaml"
    path.write_text(text)
    return load_settings(path, InspectionSettings)


def test_smallest_file_gives_an_embedded_broker_and_a_prefix(tmp_path: Path) -> None:
    settings = load(tmp_path, SMALLEST)
    assert settings.broker.host is None
    assert settings.broker.address == ("127.0.0.1", 1883)
    assert settings.topics.prefix == "pwae/site/area/line/s1"
    assert settings.client_id == "pwae-site-area-line-s1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SMALLEST + "staton: x\n", "unknown key `staton`: did you mean `station`?"),
        (SMALLEST + "broker: {hots: x}\n", "unknown key `broker.hots`: did you mean `host`?"),
        (SMALLEST.replace("path: p", "pth: p"), "unknown key `cameras.top.pth`: did you mean `path`?"),
        (SMALLEST.replace("path: p", "knd: p"), "unknown key `cameras.top.knd`: did you mean `kind`?"),
        (SMALLEST.replace("folder", "foldr"), "`kind`: 'foldr' is none of its values: did you mean `folder`?"),
        (SMALLEST.replace("kind: folder, ", ""), "`cameras.top`: `kind` is missing"),
        (SMALLEST + "commands: pause\n", "`commands`: it is read as str; a list is needed, as in [a, b]"),
        (SMALLEST + "shifts: [06.00, 14.00]\n", 'put times of the day in quotes, such as "14:00"'),
        (SMALLEST + 'shifts: ["06:00+02:00"]\n', "times of the day are in the machine's own zone; leave the zone out"),
        (SMALLEST + "commands: [pauze]\n", "`commands.0`: 'pauze' is none of its values: did you mean `pause`?"),
        (SMALLEST + "backend: {kind: gpu}\n", "'gpu' is none of its values: 'auto', 'tensorrt'"),
        (SMALLEST + "broker: null\n", "`broker`: it is read as NoneType; `key: value` lines are needed"),
        (SMALLEST + "broker: {host: h, port: 1e3}\n", "`broker.port`: it is read as str; a whole number is needed"),
        (SMALLEST + "broker: {host: h, tls: {key_file: k}}\n", "`key_file` needs `cert_file`"),
        (SMALLEST + 'broker: {host: h, username: "\\ud800"}\n', "`broker.username`: no NUL, no halves of characters"),
        (SMALLEST + 'broker: {host: h, client_id: "a\\0"}\n', "`broker.client_id`: no NUL"),
        (SMALLEST.replace("path: p", "path: 5"), "`cameras.top.path`: it is read as int; a path is needed"),
        (SMALLEST.replace("path: p", "path: p, roi: [0, 0, -1, 5]"), "`cameras.top.roi.2`"),
        (
            SMALLEST.replace("path: p", "path: ''"),
            "`path` is empty; as a path it would be the folder that one stands in",
        ),
        (SMALLEST + "evidence: {folder: ''}\n", "`folder` is empty"),
        (SMALLEST + "evidence: {folder: p/e}\n", "`evidence.folder` lies in the folder that camera `top` judges"),
        (SMALLEST + "evidence: {folder: b}\n", "`evidence.folder` lies in the folder of `bundle`; set another"),
        (SMALLEST + "outbox: {path: b/box.sqlite}\n", "`outbox.path` lies in the folder of `bundle`; set another"),
        (
            SMALLEST + "bundles: {r: c}\nevidence: {folder: c/e}\n",
            "`evidence.folder` lies in the folder of `bundles.r`",
        ),
        (
            SMALLEST.replace("folder, path: p", "watch, path: p, move_to: ./b/done"),
            "`cameras.top.move_to` lies in the folder of `bundle`",
        ),
        *(
            (
                SMALLEST.replace("folder, path: p", "watch, path: p, move_to: d")
                + f"  side: {{kind: {kind}, path: {at}}}\n",
                "`top` would move pictures away that `side` judges too",
            )
            for kind, at in (("watch", "p"), ("watch", "p/side"), ("folder", "p/../p"))
        ),
        (
            SMALLEST.replace("path: p", "path: e/NotOK/2026-11-28") + "evidence: {folder: e}\n",
            "`cameras.top.path` lies in what `evidence` keeps as NotOK",
        ),
        (SMALLEST + "broker: {host: ''}\n", "`broker.host`: it is empty; a text is needed"),
        (SMALLEST.replace("path: p", 'path: "a\\0"'), "`cameras.top.path`: no name of a file has a NUL"),
        (SMALLEST + 'bundles: {a: "b\\0"}\n', "`bundles`: no name of a file has a NUL"),
        (SMALLEST + 'outbox: {path: "\\ud800"}\n', "`outbox.path`: "),
        (SMALLEST.replace("path: p", "path: p, roi: [0, 0, 10]"), "`cameras.top.roi.3` is missing"),
        (SMALLEST.replace("top", "to/p"), "cameras.to/p"),
        (SMALLEST + "bundles: {blue: ''}\n", "`bundles.blue` is empty; as a path"),
        (
            FACTORY + "  side: {kind: genicam, address: 10.0.0.7}\n",
            "`top` and `side` are one camera, 10.0.0.7, for one",
        ),
        *(
            (
                FACTORY.replace("7}", f"7, features: {{Gain: {value}}}}}"),
                "yaml: `cameras.top.features.Gain`: a number, a",
            )
            for value in (".nan", "[1]", "null", "{a: 1}", "2026-11-28")
        ),
        (SMALLEST.replace("station: s1", "station: s 1"), "`station`"),
        (SMALLEST + "topic_prefix: a/{plant}\n", "unknown field {plant}; known: site, area, line, station"),
        (SMALLEST + "topic_prefix: /a\n", "yaml: `topic_prefix`: '/a' is no usable topic"),
        (SMALLEST + "topic_prefix: a/#\n", "no usable topic"),
        (SMALLEST + "topic_prefix: 'a/{station'\n", "no template"),
        (SMALLEST + f"topic_prefix: {'a/' * 40_000}b\n", "`topic_prefix`: it has 80001 bytes, of 65000 at most"),
        (SMALLEST + "broker: {username: u}\n", "need `host`"),
        (SMALLEST + "broker: {host: h, protocol: 4}\n", "`broker.protocol`"),
        (SMALLEST + "broker: {host: h, password_env: A}\n", "a password needs `username`"),
        (SMALLEST.replace("station: s1\n", ""), "`station` is missing."),
    ],
)
def test_a_mistake_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, text)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_of_a_list_with_a_wrong_item_it_is_not_said_that_it_has_too_few(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"yaml: `shifts.0`: it is 25:00; a time is needed, as in .06:00.\.$"):
        load(tmp_path, SMALLEST + 'shifts: ["25:00"]\n')
    with pytest.raises(ConfigError, match="`shifts`: it is empty; at least one is needed"):
        load(tmp_path, SMALLEST + "shifts: []\n")


def test_what_two_producers_call_alike_are_two_cameras(tmp_path: Path) -> None:
    first = "kind: gentl, device: '0', producer: a.cti"
    one = SMALLEST.replace("kind: folder, path: p", first)
    assert len(load(tmp_path, f"{one}  side: {{{first.replace('a.cti', 'b.cti')}}}\n").cameras) == 2
    with pytest.raises(ConfigError, match="`top` and `side` are one camera, 0, for one"):
        load(tmp_path, f"{one}  side: {{{first}}}\n")


def test_the_home_folder_is_found_in_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    settings = load(tmp_path, SMALLEST + "bundles: {blue: ~/blue}\nevidence: {folder: ~/kept}\n")
    assert settings.bundles["blue"] == Path("/home/ada/blue")
    assert settings.evidence is not None
    assert settings.evidence.folder == Path("/home/ada/kept")


def test_another_file_s_keys_are_taken_for_no_typing_errors_and_the_valid_ones_listed_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, "name: cookie\ndata: pictures/cookie\noutput: runs/cookie\nnetwork: {height: 288}\n")
    told = str(refusal.value)
    assert "did you mean" not in told
    assert told.count("valid keys here: area, backend,") == 1
    assert all(f"unknown key `{key}`" in told for key in ("name", "data", "output", "network"))


def test_prefix_follows_the_plants_own_tree(tmp_path: Path) -> None:
    settings = load(tmp_path, SMALLEST + "site: ulm\nline: l2\ntopic_prefix: uns/acme/{site}/{line}/pwae/{station}\n")
    assert settings.topics.prefix == "uns/acme/ulm/l2/pwae/s1"


def test_tls_changes_the_default_port() -> None:
    assert BrokerSettings.model_validate({"host": "h", "tls": {}}).address == ("h", 8883)
    assert BrokerSettings.model_validate({"host": "h", "tls": {}, "port": 1}).address == ("h", 1)


def test_password_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWAE_TEST_SECRET", "s3cret")
    by_env = BrokerSettings(host="h", username="u", password_env="PWAE_TEST_SECRET")  # noqa: S106
    assert by_env.password() == "s3cret"
    assert "s3cret" not in by_env.model_dump_json()
    (tmp_path / "secret").write_text("from file\n")
    assert BrokerSettings(host="h", username="u", password_file=tmp_path / "secret").password() == "from file"


def test_a_password_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PWAE_NO_SUCH is not set"):
        BrokerSettings(host="h", username="u", password_env="PWAE_NO_SUCH").password()  # noqa: S106
    with pytest.raises(ConfigError, match="password_file"):
        BrokerSettings(host="h", username="u", password_file=tmp_path / "none").password()


def test_a_password_cannot_stand_in_the_file() -> None:
    with pytest.raises(ValidationError):
        BrokerSettings.model_validate({"host": "h", "username": "u", "password": "p"})


def test_the_commented_example_is_valid_and_shows_the_defaults() -> None:
    settings = load_settings(Path(__file__).parents[2] / "configs" / "inspection.yaml", InspectionSettings)
    defaults = InspectionSettings.model_validate(
        {
            "bundle": settings.bundle,
            "station": settings.station,
            "cameras": {"top": {"kind": "folder", "path": "pictures/"}},
        }
    )
    assert settings.model_copy(update={"broker": defaults.broker}) == defaults
    assert settings.broker.model_copy(update={"host": None}) == defaults.broker


@pytest.mark.parametrize(
    "broker", ['{host: "", port: 1883}', '{host: "  "}', "{host: , port: 1883}", "\n  host:\n  port: 1883"]
)
def test_a_host_that_is_left_empty_starts_no_trial_broker(tmp_path: Path, broker: str) -> None:
    text = f"bundle: b\nstation: s\ncameras: {{top: {{kind: folder, path: p}}}}\nbroker: {broker}\n"
    (tmp_path / "inspection.yaml").write_text(text)
    with pytest.raises(ConfigError, match="host"):
        load_settings(tmp_path / "inspection.yaml", InspectionSettings)


def test_a_folder_that_is_a_link_to_itself_is_no_fault_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    text = SMALLEST.replace("path: p", f"path: {tmp_path / 'loop'}") + f"evidence: {{folder: {tmp_path}}}\n"
    assert load(tmp_path, text).evidence is not None


def with_patterns(node: Any) -> Iterator[dict[str, Any]]:
    """Every text of a JSON schema that has to fit a pattern."""
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from with_patterns(each)
    if isinstance(node, dict) and isinstance(node.get("pattern"), str):
        yield node


@pytest.mark.parametrize("schema", sorted((Path(__file__).parents[2] / "configs").glob("*.schema.json")), ids=str)
def test_what_has_to_fit_a_pattern_has_an_example_that_a_refusal_can_show(schema: Path) -> None:
    for text in with_patterns(json.loads(schema.read_text(encoding="utf-8"))):
        assert text["pattern"] == NAME or re.search(text["pattern"], text["examples"][0]), text
