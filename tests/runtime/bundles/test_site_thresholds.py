"""Thresholds that were set on site: what is taken, and what is refused."""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ArtifactError, ConfigError
from core.thresholds import Thresholds
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.site_thresholds import SiteThresholds, site_file
from runtime.settings import InspectionSettings

FACTORS = {"top": 1.0}
PLAIN = SiteThresholds(FACTORS)
SECRET = "0123456789abcdef" * 4


@pytest.fixture
def bundle(bundle_path: Path, tmp_path: Path) -> Bundle:
    return load_bundle(Path(shutil.copytree(bundle_path, tmp_path / "own")))


def first(thresholds: Thresholds) -> float:
    return thresholds.values[0]


def changed(thresholds: Thresholds, values: list[float]) -> dict[str, Any]:
    return thresholds.model_dump(mode="json") | {"values": values, "spreads": []}


@pytest.mark.parametrize(
    "values",
    [[-1.0] * 10, [0.0] * 10, [1e9] * 10, [0.1], [], [1e-5] * 9, [1e-5] * 11, [1e-5] * 9 + [0.5]],
)
def test_a_file_that_would_reject_nothing_is_refused(bundle: Bundle, values: list[float]) -> None:
    entry = {"by": "a", "at": "b", "thresholds": changed(bundle.manifest.thresholds, values)}
    site = {"model_sha256": bundle.manifest.model_sha256, "cameras": {"top": entry}}
    site_file(bundle.path).write_text(json.dumps(site))
    with pytest.raises(ArtifactError) as refused:
        PLAIN.load(bundle)
    assert "\n" not in str(refused.value)


def test_thresholds_beyond_the_bundles_are_not_stored(bundle: Bundle) -> None:
    thresholds = bundle.manifest.thresholds
    PLAIN.store(bundle, "top", thresholds.scaled(3), "anna")
    with pytest.raises(ArtifactError, match="11 times the bundle's"):
        PLAIN.store(bundle, "top", thresholds.scaled(11), "anna")
    assert first(PLAIN.load(bundle)["top"]) == pytest.approx(3 * first(thresholds))


def test_a_cameras_factor_counts_too(bundle: Bundle) -> None:
    PLAIN.store(bundle, "top", bundle.manifest.thresholds.scaled(3), "anna")
    with pytest.raises(ArtifactError, match="threshold_factor of 5 a threshold is 15 times"):
        SiteThresholds({"top": 5.0}).load(bundle)


def test_one_camera_is_set_back_and_the_others_stay(bundle: Bundle) -> None:
    for camera in ("top", "side"):
        PLAIN.store(bundle, camera, bundle.manifest.thresholds.scaled(2), "anna")
    PLAIN.store(bundle, "top", None, "anna")
    assert list(PLAIN.load(bundle)) == ["side"]


@given(st.text() | st.dictionaries(st.text(), st.integers() | st.text()).map(json.dumps))
def test_whatever_a_file_holds_it_is_refused_in_one_line(bundle_path: Path, content: str) -> None:
    folder = bundle_path.with_name("sited")
    site_file(folder).write_text(content, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(ArtifactError) as refused:
        PLAIN.load(load_bundle(bundle_path).model_copy(update={"path": folder}))
    assert "\n" not in str(refused.value)


@pytest.mark.timeout(20)
def test_a_pipe_in_the_place_of_the_file_is_refused(bundle: Bundle) -> None:
    os.mkfifo(site_file(bundle.path))
    with pytest.raises(ArtifactError, match="it is a pipe"):
        PLAIN.load(bundle)


def test_a_file_that_cannot_be_read_is_not_told_to_be_removed(bundle: Bundle) -> None:
    site_file(bundle.path).mkdir()
    with pytest.raises(ArtifactError, match=r"thresholds\.json: cannot be read \(Is a directory\); check its permis"):
        PLAIN.load(bundle)


def test_a_link_to_nothing_does_not_put_the_bundles_thresholds_in_force(bundle: Bundle) -> None:
    site_file(bundle.path).symlink_to("share-that-is-not-mounted.json")
    with pytest.raises(ArtifactError, match="link to nothing"):
        SiteThresholds({"top": 1.0}).load(bundle)


def test_a_camera_that_stands_twice_is_refused(bundle: Bundle) -> None:
    PLAIN.store(bundle, "top", bundle.manifest.thresholds.scaled(2), "anna")
    PLAIN.store(bundle, "side", bundle.manifest.thresholds.scaled(3), "anna")
    file = site_file(bundle.path)
    file.write_text(file.read_text().replace('"side"', '"top"'))
    with pytest.raises(ArtifactError, match="`top` stands twice; recalibrate"):
        PLAIN.load(bundle)


def test_thresholds_of_a_camera_that_is_not_configured_are_told(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    PLAIN.store(bundle, "side", bundle.manifest.thresholds.scaled(2), "anna")
    with caplog.at_level(logging.INFO):
        PLAIN.load(bundle)
    (told,) = [record for record in caplog.records if "side" in record.getMessage()]
    assert told.levelno == logging.WARNING
    assert "is not configured: they are not used" in told.getMessage()


def test_sealed_thresholds_are_the_stations_own(bundle: Bundle) -> None:
    station = SiteThresholds(FACTORS, SECRET)
    station.store(bundle, "top", bundle.manifest.thresholds.scaled(2), "anna")
    assert first(station.load(bundle)["top"]) == pytest.approx(2 * first(bundle.manifest.thresholds))
    file = site_file(bundle.path)
    sealed = json.loads(file.read_text())
    forged = json.loads(file.read_text())
    forged["cameras"]["top"]["thresholds"]["values"][4] *= 1.01
    for content in (forged, sealed | {"hmac_sha256": None}, sealed | {"hmac_sha256": "\u00e4"}):
        file.write_text(json.dumps(content))
        with pytest.raises(ArtifactError, match="not sealed with this station's"):
            station.load(bundle)
        with pytest.raises(ArtifactError, match="not sealed"):  # nor is it built upon
            station.store(bundle, "side", bundle.manifest.thresholds, "anna")
    file.write_text(json.dumps(sealed))
    with pytest.raises(ArtifactError, match="not sealed"):
        SiteThresholds(FACTORS, SECRET[::-1]).load(bundle)


def test_where_bundles_are_signed_none_are_taken_without_a_secret(bundle: Bundle) -> None:
    guarded = SiteThresholds(FACTORS, is_sealed=True)
    assert guarded.load(bundle) == {}
    with pytest.raises(ArtifactError, match="set `thresholds_key_file`"):
        guarded.store(bundle, "top", bundle.manifest.thresholds, "anna")
    PLAIN.store(bundle, "top", bundle.manifest.thresholds, "mallory")
    with pytest.raises(ArtifactError, match="set `thresholds_key_file`"):
        guarded.load(bundle)


def test_the_secret_comes_from_the_file_that_is_named(tmp_path: Path, bundle: Bundle) -> None:
    key = tmp_path / "key"
    settings = InspectionSettings.model_validate(
        {
            "bundle": bundle.path,
            "bundle_key": tmp_path / "site.pub",
            "thresholds_key_file": key,
            "station": "s",
            "cameras": {"top": {"kind": "folder", "path": "p"}},
        }
    )
    with pytest.raises(ConfigError, match="cannot be read"):
        settings.site_thresholds()
    key.write_text("short")
    with pytest.raises(ConfigError, match="fewer than 32"):
        settings.site_thresholds()
    key.write_text(SECRET + "\n")
    settings.site_thresholds().store(bundle, "top", bundle.manifest.thresholds, "anna")
    assert SiteThresholds(FACTORS, SECRET).load(bundle)
