"""Layout: how the folders of a data set are called, and what must not lie in them.

A folder that is read as another one than its owner means gives defective parts to train on, or none to test on.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from os.path import abspath, realpath
from pathlib import Path

from core.errors import ConfigError, DataError
from core.files import lies_in, whole
from core.pictures.picture import list_folder, list_pictures

GOOD = "good"
TESTING = frozenset({"test", "ground_truth"})
GOODS = frozenset({GOOD, "goods", "ok", "io", "i.o", "pass", "passed", "gut"})
BADS = frozenset(
    {"bad", "bads", "ng", "nok", "notok", "not_ok", "nio", "n.i.o", "fail", "failed", "reject", "rejects", "rejected"}
    | {"defect", "defects", "defective", "anomaly", "anomalies", "anomalous", "scrap", "faulty", "schlecht"}
)
"""How lines call the folders of good and of defective parts."""
DEPTH = 3
"""Folders from the data set's own down to a picture: of `my-part/train/good/1.png`."""
LONGEST_LINK = 250
"""Bytes of a file that may be what a copy made of a link."""


def list_plain(root: Path) -> list[Path]:
    """List the pictures below a plain folder, which all show good parts. Raises DataError where some would not.

    That is where a folder below it is called as those are that hold test pictures or defective parts, or stands beside
    one called as those of good parts; and where it is, or lies in, a kind of defect of a test.
    """
    pictures = list_pictures(root)
    here = Path(abspath(root))
    kinds = (folder for folder in (here, *here.parents) if folder.parent.name == "test" and folder.name != GOOD)
    is_kind = any((folder.parent / GOOD).is_dir() for folder in kinds)
    if is_kind or here.name.lower() in BADS:
        raise DataError(
            f"{root}: defective parts by its name or place, which would be taken for good ones; give a folder of good "
            f"pictures, or to test a folder with both in it (test/{GOOD}, test/<kind of defect>)."
        )
    _require_good(root, pictures)
    return pictures


def _require_good(root: Path, pictures: Iterable[Path]) -> None:
    """Raise DataError where a folder below `root` is called as those of other parts, or lies beside a good one."""
    beside: dict[Path, set[str]] = {}
    for path in pictures:
        for folder in (root / part for part in path.relative_to(root).parents):
            if folder != root:
                beside.setdefault(folder.parent, set()).add(folder.name)
    levels = [(above, {name.lower(): name for name in sorted(found)}) for above, found in sorted(beside.items())]
    for above, found in levels:
        if odd := next((name for lower, name in found.items() if lower in TESTING), None):
            raise DataError(
                f"{above / odd}: pictures to test with, which would be taken for good parts; give {above} itself, in "
                "the MVTec layout (train/good, test/good), or a folder of good pictures alone."
            )
    for above, found in levels:
        good = next((name for lower, name in found.items() if lower in GOODS), None)
        other = next((name for lower, name in found.items() if lower not in GOODS), None)
        if good and other:
            raise DataError(
                f"{above / other}: lies next to a folder `{good}`, and would be taken for good parts too; give "
                f"{above / good}, or one folder with nothing but good pictures."
            )
        if odd := next((name for lower, name in found.items() if lower in BADS), None):
            raise DataError(
                f"{above / odd}: has a name for defective parts, and would be taken for good ones; give folders of "
                "good pictures alone, or put such folders into `test`, next to test/good."
            )


def require_apart(output: Path, read: Iterable[Path]) -> None:
    """Refuse a place to write pictures to that lies in a folder which is `read`: they would be read the next time.

    A link in such a folder leads to another one that is read. Raises ConfigError.
    """
    for folder in chain.from_iterable((each, *_linked(each, set())) for each in read):
        if lies_in(output, folder):
            raise ConfigError(
                f"{output}: lies in {folder}, and what is written there would be taken for one of its pictures; "
                "choose another place."
            )


def is_taken(output: Path) -> bool:
    """Whether something lies where a new folder is to be: a file, or a folder with anything in it."""
    return output.exists() and (not output.is_dir() or any(output.iterdir()))


def _linked(folder: Path, seen: set[str]) -> Iterator[Path]:
    """Give the links to folders below `folder`, through which pictures are looked for, but for what was `seen`."""
    try:
        entries = list_folder(folder)
    except OSError:  # who reads it says so
        return
    for path, is_folder in entries:
        if is_folder and (real := realpath(path)) not in seen:
            seen.add(real)
            if path.is_symlink():
                yield path
            yield from _linked(path, seen)


def named_from_above(picture: Path) -> Iterator[tuple[Path, str]]:
    """Give the DEPTH folders that a picture lies in, by whatever link, and its name from each.

    What stands in one of them tells of it, whichever of them is named, or one above them all.
    """
    for place in (whole(picture), Path(abspath(picture))):
        for folder in list(place.parents)[:DEPTH]:
            yield folder, place.relative_to(folder).as_posix()


def require_lower_case(root: Path, kinds: Path) -> None:
    """Refuse `Train` and `Good`: good parts would be taken for defective ones, or defective ones for good ones."""
    for folder, names in ((root, ("train", *sorted(TESTING))), (kinds, (GOOD,))):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_dir() and path.name not in names and path.name.lower() in names:
                raise DataError(f"{path}: call it `{path.name.lower()}`; the MVTec layout has lower-case names.")


def require_folders(test: Path) -> None:
    """Refuse pictures that lie in no kind's folder, which would each be a kind, and links that came as files."""
    for path, is_folder in list_folder(test):
        if not is_folder:
            raise DataError(f"{path}: of which kind is it? Put it into test/{GOOD}, or into test/<kind of defect>.")
    for path in sorted(test.iterdir()):
        if path.is_file() and not path.suffix and path.stat().st_size <= LONGEST_LINK:
            goal = path.read_text(encoding="utf-8", errors="replace").strip()
            if goal and (test / goal).is_dir():
                raise DataError(f"{path}: is a link to {goal} that was copied as a file; copy that folder.")
