"""Places: an older bundle goes only when the new one stands, whatever comes between."""

import shutil
from pathlib import Path

import pytest

from export import staging
from export.staging import put


def test_a_bundle_is_on_the_disk_before_it_stands_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stood: list[bool] = []
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(
        staging, "flush", lambda folder: stood.append((tmp_path / "cell.bundle").exists() or not folder.exists())
    )
    put(tmp_path / "work", tmp_path / "cell.bundle")
    assert stood == [False]


@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError])
def test_an_older_bundle_stays_where_the_new_one_does_not_come_to_stand(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    place, new = (Path(shutil.copytree(bundle_path, tmp_path / name)) for name in ("place", "new"))
    (place / "bundle.sig").write_bytes(b"of the older one")
    rename = Path.rename

    def stopped(self: Path, target: Path) -> Path:
        if self == new:
            raise fault
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(fault):
        put(new, place)
    assert (place / "bundle.sig").read_bytes() == b"of the older one"
