"""Files: written whole or not at all, by one process at a time; what they share, and the room that is left for them."""

import errno
import fcntl
import hashlib
import os
import select
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import ConfigError, one_line

PIECE_BYTES = 2**20
SILENT_S = 30.0
"""A pipe that gives nothing for so long is no file: somebody forgot it."""


def write_whole(file: Path, content: bytes | memoryview, is_flushed: bool = False) -> None:
    """Write `file` in one step, so that nobody ever reads half of it. Raises OSError; what was there then stays.

    `is_flushed`: a power cut leaves it whole, too, what was there or this; the disk is waited for.
    """
    with becoming(file) as part:
        part.write_bytes(content)
        if is_flushed:
            flush(part)


def flush(path: Path) -> None:
    """Have a file, or a folder with all that is in it, on the disk itself. Raises OSError."""
    for each in (*path.rglob("*"), path):
        if not each.is_symlink():
            opened = os.open(each, os.O_RDONLY)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)


@contextmanager
def becoming(file: Path) -> Iterator[Path]:
    """Give the place of a part that becomes `file` when all is written; of what goes wrong, or is stopped, none stays.

    Raises OSError.
    """
    part = file.with_name(f".{file.name}.part")
    try:
        yield part
        part.replace(file)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and str(error.filename or part) == str(part):
            # Of the part nobody knows.
            raise OSError(error.errno, error.strerror or one_line(error), str(file)) from error
        raise


def without_waiting(path: str, flags: int) -> int:
    """Open, for `open(opener=...)`, a file of which nothing is waited for.

    A pipe has nothing as long as nobody writes; a file of the kernel's own looks like any, and may give nothing yet.
    """
    return os.open(path, flags | os.O_NONBLOCK)


def read_now(file: Path, most_bytes: int = -1) -> bytes:
    """Read a file, or a pipe that somebody writes to; no more than `most_bytes`.

    Raises OSError, also for a pipe that nobody writes to, or holds without a word: it would be waited for for ever.
    """
    content = b""
    with open(file, "rb", buffering=0, opener=without_waiting) as opened:
        while most_bytes < 0 or len(content) < most_bytes:
            piece = opened.read(PIECE_BYTES if most_bytes < 0 else most_bytes - len(content))
            if piece is None:  # who writes may take some time
                if not select.select([opened], [], [], SILENT_S)[0]:
                    raise OSError(errno.ETIMEDOUT, f"nothing came through it for {SILENT_S:g} s", str(file))
            elif piece:
                content += piece
            else:
                break
    if not content and file.is_fifo():
        raise OSError(errno.EPIPE, "it is a pipe, and nobody writes to it", str(file))
    return content


def require_checksums(archive: Path) -> None:
    """Hold what is in a zip archive against its checksums, which torch does not. Raises OSError, zipfile.BadZipFile."""
    with zipfile.ZipFile(archive) as opened:
        if spoilt := opened.testzip():
            raise zipfile.BadZipFile(f"{spoilt}: a checksum differs")


def require_file(file: Path) -> Path:
    """Give `file`, where whoever opens it will not wait for ever, as for a pipe. Raises OSError."""
    if file.exists() and not file.is_file():
        raise FileExistsError(errno.EEXIST, "it is no file", str(file))
    return file


@contextmanager
def naming(place: Path) -> Iterator[None]:
    """Name `place`, a file or folder, in an OSError that has no name: a full disk does not say which one it is."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(place)
        raise


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold `folder` against other processes that do so; it is made where it is missing, and goes where it stays empty.

    Raises ConfigError where another one holds it, or nothing can be written there.
    """
    make_folder(folder)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"{folder}: another process is at work there; wait for its end, or name another folder."
            ) from error
        except OSError:  # a file system without such locks
            pass
        try:
            yield
        finally:
            with suppress(OSError):
                folder.rmdir()
    finally:
        os.close(held)


def make_folder(folder: Path) -> None:
    """Make `folder` where it is not there, before the work whose results it is for. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ConfigError(f"{folder}: is a file; name a folder.") from error
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror}); name another folder.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: nothing can be written there; check its permissions, or name another folder.")


@contextmanager
def no_new_folders(folder: Path) -> Iterator[None]:
    """Have `folder` and those above it gone again where they were not there before, and nothing is in them."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        yield
    finally:
        for each in new:
            with suppress(OSError):
                each.rmdir()


def whole(file: Path) -> Path:
    """Name `file` by where its folder really is, and by its own name there: one name in all tables and reports.

    A link to a file keeps its name: where it leads often has none that people know.
    """
    return Path(os.path.realpath(file.parent)) / file.name


def common_folder(files: Iterable[Path]) -> Path:
    """Say below which folder all `files` lie, by their whole names."""
    return Path(os.path.commonpath([whole(file).parent for file in files]))


def lies_in(place: Path, folder: Path) -> bool:
    """Whether `place` is `folder` or lies in it, by whatever links they are reached."""
    return Path(os.path.realpath(place)).is_relative_to(os.path.realpath(folder))  # `resolve` raises on links in a ring


def identity(file: Path) -> tuple[int, int] | None:
    """Give disk and inode of what has this name now; None where there is none, or it cannot be asked."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def told_apart(paths: Sequence[Path]) -> list[str]:
    """Give each file a mark, which those share that hold the same, by links or as copies.

    Only what is as large as another is read. What cannot be read has its place for a mark; so has a pipe, and what is
    empty.
    """
    places = [os.path.realpath(path) for path in paths]
    sizes = {place: _size(place) for place in places}
    count = Counter(sizes.values())
    marks = {place: digest_of(place) or place if count[size] > 1 and size else place for place, size in sizes.items()}
    return [marks[place] for place in places]


def _size(place: str) -> int:
    """Give a file's size in bytes; 0 of what is none."""
    try:
        return os.path.getsize(place) if os.path.isfile(place) else 0
    except OSError:
        return 0


def digest_of(file: Path | str) -> str:
    """Give the sha256 of what is in a file; empty of what is none, or cannot be read."""
    try:
        return sha256_of(require_file(Path(file)))
    except OSError:
        return ""


def sha256_of(file: Path) -> str:
    """Give the sha256 of what is in a file, in hex. Raises OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def free_space(folder: Path) -> str:
    """Say in words how much is free on the disk of `folder`."""
    return f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free"
