"""The architecture's page agrees with the tree, the contracts and the code."""

import ast
import re
import tomllib
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
RUNTIME = ROOT / "runtime"
PACKAGES = {path.parent.name: path.parent for path in RUNTIME.glob("*/__init__.py")}
MODULES = [*RUNTIME.rglob("*.py")]
ROOMS = ("core", "training", "assessment", "export", "runtime", "archive", "fleet", "gateway")
OURS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if path.name != "__init__.py"
}
LIMIT = 12
MIRRORS = {
    # One field a key of a file that users and boxes have: other fields would be another file. They have no state.
    "Settings": "inspection.yaml, training.yaml and the like, with all that inherit it",
    "Manifest": "bundle.json",
    "Command": "command.schema.json",
    "InspectionEvent": "inspection.schema.json",
}


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


def test_the_lines_of_who_may_import_whom_are_the_contracts() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = {str(each.get("containers")): [*map(level, each["layers"])] for each in contracts if "layers" in each}
    drawn = [[*map(level, line.split(">"))] for line in re.findall(r"^    (\w[\w |]* > .*)$", PAGE, re.MULTILINE)]
    assert drawn == [layers["None"], layers["['runtime']"]]
    assert not any("ignore_imports" in contract for contract in contracts)


def level(text: str) -> set[str]:
    """The rooms of one level, which do not know each other."""
    return {name.strip() for name in text.split("|")}


def test_where_the_picture_has_an_arrow_one_package_imports_the_other() -> None:
    (route,) = re.findall(r"^    (cameras ──▶ .*) ──▶ MES$", PAGE, re.MULTILINE)
    for pair in pairwise(route.split(" ──▶ ")):
        known = [
            {name.split(".")[1] for path in PACKAGES[each].glob("*.py") for name in imported(path)} for each in pair
        ]
        assert pair[1] in known[0] or pair[0] in known[1], pair


def test_the_rooms_of_training_are_told() -> None:
    (line,) = re.findall(r"^Training has rooms too.*$", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", line)) == {path.parent.name for path in (ROOT / "training").glob("*/__init__.py")}


def test_every_file_that_the_page_names_is_there() -> None:
    for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)+\.py)`", PAGE):
        assert (RUNTIME / name).is_file() or (ROOT / name).is_file(), name


def test_every_thread_is_in_the_table_with_who_starts_it() -> None:
    told = {row[1].strip("`") for row in table("Threads")}
    found = {
        str(path.relative_to(RUNTIME))
        for path in MODULES
        if re.search(r"\b(threading\.Thread|Worker|ThreadPoolExecutor)\(\s*[^)\s]", path.read_text(encoding="utf-8"))
        and not re.search(r"^class \w+\((threading\.Thread|Worker)\)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found <= told


def test_the_walks_enter_each_package_once() -> None:
    walks = PAGE.split("## Four walks")[1].split("\n## ")[0]
    entered = [place for place, _files in groupby(re.findall(r"`([a-z]+)/[a-z_/0-9]+\.py`", walks))]
    assert sorted(place for place in entered if place in PACKAGES) == sorted(PACKAGES)
    assert len(entered) == len(set(entered))


def test_no_file_of_ours_is_longer_than_300_lines() -> None:
    for room in (*ROOMS, "tests"):
        for path in (ROOT / room).rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path


def test_no_command_lists_by_hand_what_may_be_chosen() -> None:
    """The choices of an option come from its type: a list in words would be a second one."""
    commands = [path for name, path in OURS.items() if name.endswith(".cli")]
    constants = [node for path in commands for node in nodes(path) if isinstance(node, ast.Constant)]
    said = "\0".join(node.value for node in constants if isinstance(node.value, str))
    for choices in filter(None, (chosen(node) for path in OURS.values() for node in nodes(path))):
        names = "|".join(map(re.escape, choices))
        assert not (listed := re.search(rf"\b({names})\b(, | or |\||, or )({names})\b", said)), listed


def chosen(node: ast.AST) -> list[str]:
    """The texts of a Literal or of a StrEnum; empty for anything else."""
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
        found = [each.value for each in ast.walk(node.slice) if isinstance(each, ast.Constant)]
    elif isinstance(node, ast.ClassDef) and any(
        isinstance(base, ast.Name) and base.id == "StrEnum" for base in node.bases
    ):
        found = [
            each.value.value
            for each in node.body
            if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant)
        ]
    else:
        found = []
    return [each for each in found if isinstance(each, str)]


def test_no_module_imports_more_than_12_of_ours() -> None:
    for name, path in OURS.items():
        assert len(imported(path)) <= LIMIT, f"{name} imports {sorted(imported(path))}"


@cache
def nodes(path: Path) -> list[ast.AST]:
    return [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]


def imported(path: Path) -> set[str]:
    """The modules of ours that a file imports, wherever in it, those for the type checker alone included."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & set(OURS)


def test_no_class_has_more_than_12_attributes_with_those_that_it_inherits() -> None:
    classes = {node: path for path in OURS.values() for node in nodes(path) if isinstance(node, ast.ClassDef)}
    for node, path in classes.items():
        line = [node, *ancestors(node, path)]
        if not {each.name for each in line} & MIRRORS.keys():
            found = set().union(*map(attributes, line))
            assert len(found) <= LIMIT, f"{path}: {node.name}: {sorted(found)}"


def ancestors(node: ast.ClassDef, path: Path) -> list[ast.ClassDef]:
    """The classes of ours that a class inherits from, which stand in its own file or in one that this imports."""
    within = [path, *(OURS[name] for name in imported(path))]
    bases = {base.id for base in node.bases if isinstance(base, ast.Name)} | {
        base.value.id for base in node.bases if isinstance(base, ast.Subscript) and isinstance(base.value, ast.Name)
    }
    found = []
    for where in within:
        for each in nodes(where):
            if isinstance(each, ast.ClassDef) and each.name in bases and each is not node:
                found += [each, *ancestors(each, where)]
    return found


def attributes(node: ast.ClassDef) -> set[str]:
    """What a class declares as its fields, and what its methods set on `self`."""
    fields = {
        each.target.id for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    set_on_self = {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id == "self"
    }
    return fields | set_on_self
