"""Hold source files against TensorRT's bindings: python tensorrt_api_check.py MODULE SKIPPED,NAMES FILE...

Prints a JSON list of what is asked for and is not there: a name of the module or of a class, a keyword of a method, or
more arguments than it takes. A variable's class follows from its name, which the sources keep to.
"""

import ast
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CLASSES = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "error": "ParserError",
    "profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "_context": "IExecutionContext",
    "_cache": "IRuntimeCache",
    "_runtime": "Runtime",
}
CONFIGS = {
    "engines.py": "IBuilderConfig",
    "tensorrt_engine.py": "IRuntimeConfig",
    "tensorrt_lane.py": "IRuntimeConfig",
    "wrong.py": "IBuilderConfig",
}
NOT_TENSORRT = {
    *(
        "engine.file",
        "engine.api",
        "engine.gpu",
        "engine.compute_capability",
        "engine.multiprocessors",
        "error.split",
        "context.push",
        "_context.push",
        "_context.pop",
        "_context.detach",
    ),
    *("profile.name",),
}


def problems(trt: Any, skipped: set[str], path: Path) -> Iterator[str]:
    classes = {**CLASSES, "config": CONFIGS[path.name]}
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Attribute) or node.attr in skipped:
            continue
        owner = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
        if owner in ("trt", "_trt"):
            if not hasattr(trt, node.attr) and node.attr != "__version__":
                yield f"{path.name}:{node.lineno}: the module has no {node.attr}"
            continue
        is_asked = owner in classes and f"{owner}.{node.attr}" not in NOT_TENSORRT
        if is_asked and not hasattr(getattr(trt, classes[owner]), node.attr):
            yield f"{path.name}:{node.lineno}: {classes[owner]} has no {node.attr}"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = (
                node.func.value.id if isinstance(node.func.value, ast.Name) else getattr(node.func.value, "attr", "")
            )
            method = getattr(getattr(trt, classes.get(owner, ""), None), node.func.attr, None)
            if method is not None:
                yield from (f"{path.name}:{node.lineno}: {problem}" for problem in misfits(method, node))


def misfits(method: Any, call: ast.Call) -> Iterator[str]:
    """Compare a call with the signatures in a binding's docstring."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    signatures = re.findall(rf"{name}\((.*?)\) ->", method.__doc__ or "", re.DOTALL)
    known = [[part.split(":")[0].strip() for part in signature.split(", ") if ":" in part] for signature in signatures]
    for keyword in call.keywords:
        if known and not any(keyword.arg in parameters for parameters in known):
            yield f"{name} takes no argument `{keyword.arg}`"
    given = len(call.args) + len(call.keywords)
    is_starred = any(isinstance(argument, ast.Starred) for argument in call.args)
    if known and not is_starred and given > max(len(parameters) - 1 for parameters in known):
        yield f"{name} takes fewer than {given} arguments"


if __name__ == "__main__":
    module, names, *files = sys.argv[1:]
    bindings = importlib.import_module(module)
    found = [problem for file in files for problem in problems(bindings, set(names.split(",")), Path(file))]
    sys.stdout.write(json.dumps(found))
