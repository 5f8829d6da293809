import shutil
from io import StringIO
from pathlib import Path

from rich.console import Console

from assessment.comparison import compare, comparison_tables
from assessment.recalibration import set_threshold


def test_the_same_model_twice_differs_nowhere_and_a_stricter_one_is_told(
    checkpoint: Path, exported: Path, parts: Path, tmp_path: Path
) -> None:
    same = compare((checkpoint, exported), str(parts))
    assert len(same.samples) == 20
    assert not len(same.differing)
    strict = Path(shutil.copytree(exported, tmp_path / "strict"))
    set_threshold(strict, 0.6)
    found = compare((checkpoint, strict), str(parts))
    assert len(found.differing) > 0
    assert not found.defective[found.differing].any()
    console = Console(width=300, record=True, file=StringIO())
    for table in comparison_tables(found, ("old", "new")):
        console.print(table)
    shown = console.export_text()
    for words in (
        "12 good, 8 defective",
        "AUROC",
        "misses",
        "false rejects",
        f"differ on {len(found.differing)} of 20",
    ):
        assert words in shown
    assert all(str(found.samples[i].path) in shown for i in found.differing)
