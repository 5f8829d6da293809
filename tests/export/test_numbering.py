"""Numbers of bundles: one more than those of the same name beside it."""

from pathlib import Path

from export.numbering import next_number
from runtime.bundles.bundle import load_bundle, save_manifest
from tests.runtime.small_bundle import write_bundle


def test_a_number_is_one_more_than_those_of_its_name_beside_it(tmp_path: Path) -> None:
    assert next_number("even-grey", tmp_path / "new") == 1
    bundle = write_bundle(tmp_path / "a")
    assert next_number("even-grey", bundle) == 1, "one of an older version has no number"
    save_manifest(bundle, load_bundle(bundle).manifest.model_copy(update={"number": 7}))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "bundle.json").write_text("{")
    assert next_number("even-grey", tmp_path / "new") == next_number("even-grey", bundle) == 8
    (tmp_path / "link").symlink_to(bundle)
    assert next_number("even-grey", tmp_path / "elsewhere" / ".." / "link") == 8
    assert next_number("another", bundle) == 1
