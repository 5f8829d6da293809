"""What is wrong with a configuration, in words: the key, what stands there, and what may stand there."""

import difflib
import re
from collections.abc import Collection
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from core.errors import one_line, shortened
from core.yaml_file import LONGEST

NAME = r"^[A-Za-z0-9_-]{1,64}$"
"""Of what can be a level of an MQTT topic."""
LIKE = 0.6
"""An unknown key that is less like a valid one was not meant so: of 1, by difflib."""
WORDS = {
    **dict.fromkeys(
        ("model_type", "model_attributes_type", "dict_type"), "it is read as {kind}; `key: value` lines are needed"
    ),
    **dict.fromkeys(("list_type", "tuple_type", "set_type"), "it is read as {kind}; a list is needed, as in [a, b]"),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float"),
        "it is read as {kind}; a whole number is needed, in digits alone",
    ),
    **dict.fromkeys(("float_type", "float_parsing"), "it is read as {kind}; a number is needed"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "it is read as {kind}; true or false is needed"),
    "path_type": "it is read as {kind}; a path is needed, as text",
    "string_type": "it is read as {kind}, not as text; put it in quotes",
    "string_unicode": "it is no text in UTF-8, as a name may be that another system wrote; rename it",
    "string_too_short": "it has fewer than {min_length} characters",
    "string_too_long": "it has more than {max_length} characters",
    "too_short": "{min_length} of them are needed",
    "too_long": "{max_length} of them are the most",
    "greater_than": "it is {value}; more than {gt} is needed",
    "greater_than_equal": "it is {value}; {ge} or more is needed",
    "less_than": "it is {value}; less than {lt} is needed",
    "less_than_equal": "it is {value}; {le} or less is needed",
    "finite_number": "it is {value}; a finite number is needed",
    **dict.fromkeys(("time_type", "time_parsing"), "it is {value}; a time is needed, as in '06:00'"),
    "ip_v4_address": "it is {value}; an address of IPv4 is needed, as in 192.168.0.7",
}
"""What is wrong with a value, and what may stand there, by pydantic's name of the fault."""
EMPTY = {"string_type": "a text", "string_too_short": "a text", "too_short": "at least one"}
"""What is needed in the place of nothing, by pydantic's name of the fault."""
MOST = 20
"""Mistakes that are told."""
_VALID = ": valid keys here: "


def faults_told(error: ValidationError, schema: type[BaseModel]) -> str:
    """Say in one line what does not fit `schema`, the first MOST mistakes."""
    found = error.errors()
    true = [each for each in found if each["type"] != "too_short" or not _lies_within(each, found)]
    form = _form(schema)
    # A file of another kind has thousands, and to find the place of one takes a moment.
    told = true if len(true) <= MOST else true[: MOST - 1]
    problems = _listed_once([one_line(_describe(problem, form)) for problem in told])
    if len(true) > MOST:
        problems.append(f"and {len(true) - MOST + 1} more mistakes.")
    words = [*(problem.removesuffix(".") for problem in problems[:-1]), problems[-1]]
    return "; ".join(words)


@cache
def _form(schema: type[BaseModel]) -> dict[str, Any]:
    """Give the schema in JSON; it is made once, which takes a tenth of a second."""
    return schema.model_json_schema(by_alias=True)


def _lies_within(problem: Any, others: list[Any]) -> bool:
    """Whether an item of `problem` is wrong: pydantic leaves it out, and then counts too few."""
    place = problem["loc"]
    return any(each["loc"][: len(place)] == place and len(each["loc"]) > len(place) for each in others)


def _listed_once(problems: list[str]) -> list[str]:
    """Leave out what keys are valid somewhere, except for the last of the unknown keys there."""
    parts = [problem.partition(_VALID) for problem in problems]
    return [
        head if keys and any(later == keys for *_, later in parts[number + 1 :]) else head + said + keys
        for number, (head, said, keys) in enumerate(parts)
    ]


def _describe(problem: Any, form: dict[str, Any]) -> str:
    location, known, examples = _locate(form, problem["loc"])
    if problem["type"] == "extra_forbidden":
        return unknown_key(location, str(problem["loc"][-1]), known)
    if problem["type"] == "missing":
        return f"`{location}` is missing."
    said = _said(problem, examples)
    return f"`{location}`: {said}" if location else said


def unknown_key(location: str, unknown: str, known: Collection[str]) -> str:
    """Say of the key `unknown`, at `location`, which one of those that are `known` there is meant, or all of them."""
    nearest = nearest_key(unknown, known)
    hint = f": did you mean `{nearest}`?" if nearest else f"{_VALID}{', '.join(sorted(known))}."
    return f"unknown key `{location}`{hint}"


def nearest_key(unknown: str, known: Collection[str]) -> str | None:
    """Give which of the keys that are `known` is meant by `unknown`, in whatever case; None where it is like none."""
    return next(iter(difflib.get_close_matches(unknown.lower(), known, n=1, cutoff=LIKE)), None)


def _said(problem: Any, examples: list[Any]) -> str:
    """What is wrong with a value, and what may stand there."""
    if problem["type"] in EMPTY and problem["input"] in (None, "", [], (), {}):
        return f"it is empty; {EMPTY[problem['type']]} is needed."
    if problem["type"] == "string_pattern_mismatch":
        if problem["ctx"]["pattern"] == NAME:
            return "1 to 64 letters from A to Z, digits, `_` or `-` are taken."
        if examples:
            return f"it has to be as in {examples[0]}."
    if problem["type"] in WORDS:
        bounds = {
            name: f"{each:g}" if isinstance(each, float) else each for name, each in problem.get("ctx", {}).items()
        }
        given = {"kind": type(problem["input"]).__name__, "value": shortened(str(problem["input"]))}
        return f"{WORDS[problem['type']].format(**bounds, **given)}."
    return _said_of_choice(problem, examples) or shortened(str(problem["msg"]).removeprefix("Value error, "), LONGEST)


def _said_of_choice(problem: Any, choices: list[Any]) -> str:
    """Which value is meant where one of several has to stand; empty where it is no such place."""
    told = problem.get("ctx", {})
    name = f"`{told['discriminator'][1:-1]}`" if "discriminator" in told else ""
    expected = told.get("expected_tags") or told.get("expected", "")
    if problem["type"] == "union_tag_not_found":
        return f"{name} is missing: {', '.join(map(str, choices))} can stand there."
    if problem["type"] not in {"union_tag_invalid", "literal_error", "enum"}:
        return ""
    given = told.get("tag", problem["input"])
    nearest = difflib.get_close_matches(str(given), re.findall(r"'([^']+)'", expected), n=1, cutoff=LIKE)
    hint = f"did you mean `{nearest[0]}`?" if nearest else f"{expected} is needed."
    return f"{name}{': ' if name else ''}{shortened(repr(given))} is none of its values: {hint}"


def _locate(root: dict[str, Any], path: tuple[Any, ...]) -> tuple[str, list[str], list[Any]]:
    """Walk `root`, the schema's JSON form, along `path`.

    Gives the location as the file has it, the valid keys beside its end, and examples of what may stand there: of
    several kinds of section their tags.
    """
    nodes, levels, known = _resolve([root], root), [], []
    is_chosen = False
    for part in path:
        if part == "[key]":  # what is wrong is the name before it
            continue
        # A discriminated union puts its tag in the location; the tag is no level of the file. A key may have its name.
        if not is_chosen and (chosen := [node for node in nodes if part in _tags(node)]):
            nodes, is_chosen = chosen, True
            continue
        # Nor is the tag of one of several forms that are no sections, such as a text or a list.
        if isinstance(part, str) and nodes and not any(node.get("type") == "object" for node in nodes):
            continue
        known = sorted({key for node in nodes for key in node.get("properties", {})})
        levels.append(shortened(str(part)))
        is_chosen = False
        nodes = _resolve([child for node in nodes for child in _children(node, part)], root)
    examples = [example for node in nodes for example in node.get("examples", ())]
    return ".".join(levels), known, examples or sorted({str(tag) for node in nodes for tag in _tags(node)})


def _resolve(nodes: list[dict[str, Any]], root: dict[str, Any]) -> list[dict[str, Any]]:
    resolved = []
    for node in nodes:
        if "$ref" in node:
            resolved += _resolve([root["$defs"][node["$ref"].rsplit("/", 1)[1]]], root)
        elif "anyOf" in node or "oneOf" in node:
            resolved += _resolve(node.get("anyOf", []) + node.get("oneOf", []), root)
        else:
            resolved.append(node)
    return resolved


def _children(node: dict[str, Any], part: Any) -> list[dict[str, Any]]:
    if isinstance(part, int):
        return [node["items"]] if "items" in node else []
    if part in node.get("properties", {}):
        return [node["properties"][part]]
    # A map whose keys have to match a pattern is written differently from one of any keys.
    values = [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
    return [value for value in values if isinstance(value, dict)]


def _tags(node: dict[str, Any]) -> set[Any]:
    return {field["const"] for field in node.get("properties", {}).values() if "const" in field}
