"""The project's shape in figures, as docs/architecture.md tells them: `python docs/shape.py`."""

import ast
import statistics
import sys
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("core", "training", "assessment", "export", "runtime", "archive", "fleet", "gateway")


def shape() -> dict[str, str]:
    """Count files, functions and docstrings of all rooms, `__init__.py` files left out."""
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if path.name != "__init__.py"]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    nodes = [*chain.from_iterable(ast.walk(ast.parse(path.read_text(encoding="utf-8"))) for path in files)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    lengths = [(node.end_lineno or 0) - node.lineno + 1 for node in functions]
    documentable = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module)]
    told = sum(ast.get_docstring(node) is not None for node in documentable)
    runtime = [path for path in files if path.is_relative_to(ROOT / "runtime")]
    return {
        "files": str(len(files)),
        "median / longest file": f"{statistics.median(lines.values()):.0f} / {max(lines.values())}",
        "files a folder": f"{len(files) / len({path.parent for path in files}):.1f}",
        "most files in a folder of the runtime": str(
            max(sum(path.parent == folder for path in runtime) for folder in {path.parent for path in runtime})
        ),
        "median / longest function": f"{statistics.median(lengths):.0f} / {max(lengths)}",
        "docstrings": f"{told / len(documentable):.0%}",
        "README lines": str(len((ROOT / "README.md").read_text(encoding="utf-8").splitlines())),
    }


if __name__ == "__main__":
    figures = shape()
    for row in (figures, ["---"] * len(figures), figures.values()):
        sys.stdout.write(f"| {' | '.join(row)} |\n")
