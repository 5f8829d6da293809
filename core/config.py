"""Configuration files: YAML into frozen pydantic models, where an unknown key is refused with the nearest valid one."""

import os
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from core.config_faults import NAME, faults_told
from core.errors import ConfigError
from core.yaml_file import read_yaml

Name = Annotated[str, StringConstraints(pattern=NAME)]
"""A name that can be a level of an MQTT topic: letters, digits, `_` and `-`."""
Wait = Annotated[float, Field(ge=0.001, le=1e6)]
"""In seconds: from a millisecond to 11 days. Some of the system's own waits cannot be longer."""
LARGEST = 1e15
"""No number is larger: a database could not hold it, nor a clock."""


class Settings(BaseModel):
    """Base of every configuration section: frozen, unknown keys refused, numbers bounded, `~` in paths expanded."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _has_what_is_meant(cls, content: Any) -> Any:
        for name, value in content.items() if isinstance(content, dict) else ():
            taken = str(cls.model_fields[name].annotation) if name in cls.model_fields else ""
            paths = {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
            if "Path" in taken and (empty := [where for where, path in paths.items() if path == ""]):
                raise ValueError(f"`{empty[0]}` is empty; as a path it would be the folder that one stands in")
            if isinstance(value, bool) and "bool" not in taken and ("int" in taken or "float" in taken):
                raise ValueError(f"`{name}` is read as {str(value).lower()}, not as a number")
        return content

    @field_validator("*")
    @classmethod
    def _is_bounded(cls, value: Any) -> Any:
        if isinstance(value, int | float) and abs(value) > LARGEST:
            raise ValueError(f"numbers up to {LARGEST:g} are allowed")
        return value

    @field_validator("*")
    @classmethod
    def _expands_home(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(map(cls._expands_home, value))
        if isinstance(value, dict):
            return {key: cls._expands_home(each) for key, each in value.items()}
        return expanded(value) if isinstance(value, Path) else value


def expanded(path: Path) -> Path:
    """Put the home folder in the place of `~`. Raises ValueError where there is none, or no file can have this name."""
    if b"\0" in os.fsencode(path):  # which is a ValueError, too, for halves of characters
        raise ValueError("no name of a file has a NUL")
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError("there is no such home folder; write the whole path") from error


SettingsT = TypeVar("SettingsT", bound=BaseModel)


def load_settings(path: Path, schema: type[SettingsT]) -> SettingsT:
    """Read a YAML file into `schema`.

    Raises ConfigError where the file is missing, is no YAML, or does not fit; the message names the key.
    """
    content = read_yaml(path)
    return parse_settings({} if content is None else content, schema, str(path))


def parse_settings(content: Any, schema: type[SettingsT], source: str) -> SettingsT:
    """Check `content` against `schema`; `source` names it in the ConfigError raised where it does not fit."""
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: expected `key: value` lines, found {type(content).__name__}.")
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{source}: {faults_told(error, schema)}") from error
