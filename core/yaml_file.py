"""YAML as people mean it: what YAML would read in a way that its writer did not mean is refused, with its line."""

import re
from pathlib import Path
from typing import Any

import yaml

from core.errors import ConfigError, one_line, shortened
from core.files import read_now

LARGEST_BYTES = 2**20
"""Of a file; one of ours has some kB."""
LONGEST = 600
"""Letters of what is said of a mistake, which may hold what stands there."""
MOST_MERGED = 10_000
"""Keys that are merged in, all together: a few lines of merges of merges make billions of them."""
OTHER_BASE = re.compile(r"[-+]?0[0-9_]+$|.*:")
"""Of 8, and of 60."""
GIVE = "give a value (`{}`: a section that is all as by default), or leave it out"
MERGE = "tag:yaml.org,2002:merge"
UNNAMED = "<unicode string>"
"""What PyYAML calls a text that is no file."""
TAB = "character '\\t' that cannot start any token"
"""How it tells of a tab, which nobody sees."""


class _Misread(yaml.MarkedYAMLError):
    pass


class _Loader(yaml.SafeLoader):
    """Refuses keys that stand twice, that are no text, those with nothing behind them, and numbers to other bases."""

    merged = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        before = len(node.value)
        super().flatten_mapping(node)
        self.merged += len(node.value) - before
        if self.merged > MOST_MERGED:
            raise _Misread(problem=f"line {node.start_mark.line + 1}: its merges (`<<`) make too many keys")

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        is_whole = node.tag.endswith("int")
        number = self.construct_yaml_int(node) if is_whole else self.construct_yaml_float(node)
        if OTHER_BASE.match(node.value):
            line = node.start_mark.line + 1
            raise _Misread(problem=f"line {line}: `{node.value}` is read as {number}; put it in quotes, or write that")
        return number

    def construct_tagged(self, node: yaml.Node) -> Any:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        raise _Misread(
            problem=f"line {node.start_mark.line + 1}: the tag `{tag}` means nothing here; write the value itself, or "
            "put it in quotes"
        )

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
                raise _Misread(problem=f"line {line}: `{key.value}` is empty; {GIVE}")
            lines[key.value] = line
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)
_Loader.add_constructor(None, _Loader.construct_tagged)


def read_yaml(path: Path) -> Any:
    """Read a YAML file. Raises ConfigError where it cannot be read, is none, or would be read as nobody means it."""
    try:
        content = read_now(path, LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise ConfigError(f"{path}: larger than {LARGEST_BYTES:,} bytes; is it the right file?")
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}: line {line} is not text in UTF-8; save it in UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str) -> Any:
    """Read YAML; `source` names it in the ConfigError raised where it is none, or would be read as nobody means it."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506, a SafeLoader
    except _Misread as misread:
        raise ConfigError(f"{source}: {shortened(one_line(misread.problem), LONGEST)}.") from misread
    except RecursionError as error:
        raise ConfigError(f"{source}: nested too deeply; check its brackets.") from error
    except (LookupError, AttributeError) as error:  # PyYAML's, of `!!bool` or `!!timestamp` before neither
        raise ConfigError(f"{source}: a value is not what the tag (`!!`) before it says; leave the tag out.") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that is none
        told = one_line(error).replace(f' in "{UNNAMED}",', ", in").replace(TAB, "a tab; YAML takes spaces there")
        raise ConfigError(f"{source}: not valid YAML: {shortened(told, LONGEST)}") from error
