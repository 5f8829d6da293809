"""The shelf on a disk: what stays of a killed agent goes, and what is not the fleet's stays."""

from pathlib import Path

from fleet.shelf import Shelf

FIRST, SECOND, THIRD = (f"fleet-{digit * 64}" for digit in "123")


def shelf(folder: Path, installed: str) -> Shelf:
    (folder / installed).mkdir()
    (folder / "cell.bundle").symlink_to(installed)
    return Shelf(folder / "cell.bundle")


def test_a_bundle_from_before_the_fleet_stays_whatever_it_is_called(tmp_path: Path) -> None:
    before = shelf(tmp_path, "fleet-1")
    assert before.sha256 is None
    for name in (FIRST, SECOND, THIRD):
        (tmp_path / name).mkdir()
        before.switch(tmp_path / name)
        assert before.sha256 == name.removeprefix("fleet-")
    assert {path.name for path in tmp_path.iterdir()} == {"cell.bundle", "fleet-1", SECOND, THIRD}


def test_what_an_agent_left_that_was_killed_goes_but_for_the_download_that_goes_on(tmp_path: Path) -> None:
    one = shelf(tmp_path, "cell.bundle-1")
    one.believe(5)
    there = {path.name for path in tmp_path.iterdir()}
    for name in (f"{FIRST}.zip", f"{FIRST}.zip.part", f"{SECOND}.zip", f"{SECOND}.zip.part"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / f".{FIRST}.x7").mkdir()
    (tmp_path / f".{FIRST}.x7" / "model.onnx").write_bytes(b"half")
    (tmp_path / f"{FIRST}.thresholds.json").write_bytes(b"{}")
    for name in ("fleet-press.zip", "fleet-1.zip.old", f"{THIRD}.zip.note"):
        (tmp_path / name).write_bytes(b"somebody's own")
    (tmp_path / ".fleet-notes").mkdir()
    one.remove_remains(but=tmp_path / SECOND)
    stay = {f"{SECOND}.zip.part", f"{FIRST}.thresholds.json"}
    stay |= {"fleet-press.zip", "fleet-1.zip.old", f"{THIRD}.zip.note", ".fleet-notes"}
    assert {path.name for path in tmp_path.iterdir()} == there | stay
