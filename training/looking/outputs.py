"""Outputs of `train-model init`: what the training is called, and where its configuration and the sheet go."""

from os.path import realpath
from pathlib import Path

from core.datasets.dataset import folders
from core.datasets.layout import GOODS, require_apart
from core.errors import ConfigError
from core.files import make_folder
from core.printable import plain_name

ANYBODYS = GOODS | {"train"}
"""Names of folders that say nothing of the part."""


def places(data: list[str], output: Path | None, is_fast: bool, is_region: bool) -> tuple[str, Path, Path]:
    """Give the training's name, its configuration and the sheet of cut-outs, whose folder is made.

    Raises ConfigError where they cannot be written, or something is there.
    """
    # Several folders are the next training of a part, whose first one has the folder's name, in each of both forms; of
    # several regions each has a model.
    own = f"{_part_of(Path(realpath(data[0])))}{'-fast' if is_fast else ''}"
    name = plain_name(output.stem if output and (len(data) > 1 or is_region) else own)
    config = output or Path(f"{name}.yaml")
    if config.is_dir():
        raise ConfigError(f"{config}: is a folder; name the file to write, such as {config / f'{name}.yaml'}.")
    sheet = config.with_suffix(".png")
    if config == sheet:
        raise ConfigError(f"{config}: that is the sheet of pictures; end the configuration's name with .yaml.")
    require_apart(sheet, folders(data))
    for path in (config, sheet):
        if path.exists():
            raise ConfigError(f"{path}: exists already and is kept; remove it, or give another --output.")
    make_folder(config.parent)
    return name, config, sheet


def _part_of(folder: Path) -> str:
    """Give the name of the folder that says which part it is: of bolt/train/good `bolt`."""
    named = (each.name for each in (folder, *folder.parents) if each.name and each.name.lower() not in ANYBODYS)
    return next(named, folder.name)
