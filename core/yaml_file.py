"""YAML as people mean it: what YAML would read in a way that its writer did not mean is refused, with its line."""

from typing import Any

import yaml

from core.errors import ConfigError, one_line

MERGE = "tag:yaml.org,2002:merge"


class _Misread(yaml.MarkedYAMLError):
    pass


class _Loader(yaml.SafeLoader):
    """Refuses keys that stand twice, that are no text, and those with nothing behind them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == MERGE:
                continue
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                name = key.value if isinstance(key, yaml.ScalarNode) else "this key"
                raise _Misread(problem=f"line {line}: `{name}` is read as something else than a name; put it in quotes")
            if key.value in lines:
                raise _Misread(problem=f"`{key.value}` stands twice, in lines {lines[key.value]} and {line}")
            if isinstance(value, yaml.ScalarNode) and not value.value and value.style is None:
                raise _Misread(problem=f"line {line}: `{key.value}` is empty; give a value, `null`, or leave it out")
            lines[key.value] = line
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, source: str) -> Any:
    """Read YAML; `source` names it in the ConfigError raised where it is none, or would be read as nobody means it."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506, a SafeLoader
    except _Misread as misread:
        raise ConfigError(f"{source}: {one_line(misread.problem)}.") from misread
    except RecursionError as error:
        raise ConfigError(f"{source}: nested too deeply; check its brackets.") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that is none
        raise ConfigError(f"{source}: not valid YAML: {one_line(error)}") from error
