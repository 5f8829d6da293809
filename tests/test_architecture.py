"""The architecture's page agrees with the tree, the contracts and the code."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
RUNTIME = ROOT / "runtime"
PACKAGES = {path.parent.name: path.parent for path in RUNTIME.glob("*/__init__.py")}
MODULES = [*RUNTIME.rglob("*.py")]


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading."""
    below = PAGE.split(f"## {heading}")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in below.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def test_the_table_of_packages_is_the_tree() -> None:
    rows = table("The rooms of the runtime, by a frame's route")
    assert {row[0].strip("`") for row in rows} == set(PACKAGES)
    for package, _knows, start in rows:
        assert (PACKAGES[package.strip("`")] / start.strip("`")).is_file(), start


def test_the_line_of_who_may_import_whom_is_the_contract() -> None:
    (line,) = re.findall(r"^    (cli > .*)$", PAGE, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (rooms,) = [contract for contract in contracts if contract.get("containers") == ["runtime"]]
    assert [" | ".join(sorted(level.split(" | "))) for level in rooms["layers"]] == [
        " | ".join(sorted(level.split(" | "))) for level in line.split(" > ")
    ]
    assert not any("ignore_imports" in contract for contract in contracts)


def test_every_file_that_the_page_names_is_there() -> None:
    for name in re.findall(r"`([a-z_]+/[a-z_]+\.py)`", PAGE):
        assert (RUNTIME / name).is_file() or (ROOT / name).is_file(), name


def test_every_thread_is_in_the_table_with_who_starts_it() -> None:
    told = {row[1].strip("`") for row in table("Threads")}
    found = {
        str(path.relative_to(RUNTIME))
        for path in MODULES
        if re.search(r"\b(threading\.Thread|Worker)\(\s*[^)\s]", path.read_text(encoding="utf-8"))
        and not re.search(r"^class \w+\((threading\.Thread|Worker)\)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found <= told


def test_a_walk_goes_through_each_package() -> None:
    walks = PAGE.split("## Four walks")[1].split("\n## ")[0]
    passed = {name for name in PACKAGES if f"{name}/" in walks}
    assert set(PACKAGES) - passed <= {"evidence", "monitoring", "threads"}


def test_no_module_is_longer_than_300_lines() -> None:
    for room in ("core", "training", "assessment", "export", "runtime"):
        for path in (ROOT / room).rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path
