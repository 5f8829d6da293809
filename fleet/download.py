"""The download: a package over HTTPS, no larger than allowed, resumed where it was cut, and whole by its hash."""

import errno
import http.client
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from core.certificates import trusting
from core.errors import ArtifactError, ConfigError, one_line, shortened, shown
from core.files import sha256_of
from fleet.order import Package
from runtime.threads.worker import Worker

TRIES = 5
FIRST_WAIT_S = 1.0
"""Before the second try; it doubles."""
TIMEOUT_S = 30.0
"""Without a byte."""
TURN_S = 0.5
"""How often it is asked meanwhile whether the fetch is wanted still."""
BLOCK_BYTES = 2**18
ROOM = 2
"""So many times a package's size is left free beside it: for the bundle in it, and for the station."""

T = TypeVar("T")


class _CutError(Exception):
    """Another try may succeed."""


def fetch(package: Package, file: Path, ca_file: Path | None, max_bytes: int, wait: Callable[[float], None]) -> None:
    """Fetch a package to `file`; what came is kept beside it until it is whole.

    `wait` is called with the seconds until another try, and with 0 again and again; what it raises ends the fetch.

    Raises ArtifactError where it cannot be fetched, is too big, has another hash, or where there is no room for it;
    ConfigError where `ca_file` cannot be used.
    """
    opener = _opener(ca_file)
    part = file.with_name(f"{file.name}.part")
    for attempt in range(TRIES):
        try:
            was_resumed = _continue(opener, package.url, part, max_bytes, wait)
        except _CutError as cut:
            if attempt == TRIES - 1:
                raise ArtifactError(f"{package.url}: {cut}, {TRIES} times; look at the server.") from cut
            wait(FIRST_WAIT_S * 2**attempt)
            continue
        except OSError as full:  # what came would take the room from the station's own events
            with suppress(OSError):
                part.unlink()
            why = full.strerror or one_line(full)
            raise ArtifactError(
                f"{part.parent}: the package cannot be kept ({why}); make room, order it again."
            ) from full
        found = sha256_of(part)
        if found == package.sha256:
            part.replace(file)
            return
        part.unlink()
        if not was_resumed:  # else the first bytes may have been of another file
            raise ArtifactError(f"{package.url}: its sha256 is {found}, not {package.sha256} as ordered; not used.")
    raise ArtifactError(f"{package.url}: it was cut and came back with another hash, {TRIES} times; not used.")


def _opener(ca_file: Path | None) -> urllib.request.OpenerDirector:
    """Know HTTPS alone, so that no redirection leads elsewhere."""
    try:
        context = trusting(ca_file)
    except OSError as error:
        raise ConfigError(f"ca_file: {ca_file} cannot be used ({error.strerror}); check it.") from error
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _continue(
    opener: urllib.request.OpenerDirector, url: str, part: Path, max_bytes: int, wait: Callable[[float], None]
) -> bool:
    """Fetch what is missing of `part`; say whether some was there.

    Raises _CutError where it may be tried again, OSError where the disk does not take it.
    """
    there = part.stat().st_size if part.exists() else 0
    answer = _patiently(lambda: _open(opener, url, there), wait)
    try:
        is_rest = bool(answer.status == http.client.PARTIAL_CONTENT)
        if answer.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE or (
            is_rest and not str(answer.headers.get("Content-Range", "")).startswith(f"bytes {there}-")
        ):
            part.unlink(missing_ok=True)  # the file may be another now
            raise _CutError("it sends another part than was asked for")
        _write(answer, part, there if is_rest else 0, max_bytes, url, wait)
        return is_rest
    finally:
        Worker("fetch", answer.close).start()  # for it waits until a read ends that is left behind


def _patiently(read: Callable[[], T], wait: Callable[[float], None]) -> T:
    """Give what `read` gets of a server that may say nothing for long. Where `wait` raises, `read` is left behind."""
    got: list[T] = []
    reader = Worker("fetch", lambda: got.append(read()))
    reader.start()
    wait(0)
    while reader.is_alive():
        reader.join(TURN_S)
        wait(0)
    try:
        if reader.fault is not None:
            raise reader.fault
        return got[0]
    finally:
        reader.fault = None  # which holds this frame, and that the reader: a ring that would keep the socket open


def _open(opener: urllib.request.OpenerDirector, url: str, there: int) -> Any:
    """Ask for all from the byte `there` on. Raises ArtifactError, or _CutError where it may be tried again."""
    try:
        if urlsplit(url).scheme != "https":
            raise ArtifactError(f"{url}: bundles are fetched over https alone.")
        request = urllib.request.Request(url, headers={"Range": f"bytes={there}-"} if there else {})  # noqa: S310
        return opener.open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return error
        with error:
            if error.code < http.client.INTERNAL_SERVER_ERROR:
                why = shown(shortened(one_line(error.reason)))
                raise ArtifactError(f"{url}: the server answers {error.code} {why}.") from error
            raise _CutError(f"the server answers {error.code}") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise ArtifactError(
                f"{url}: certificate not trusted ({error.reason.verify_message}); check `ca_file`."
            ) from error
        if "unknown url type" in str(error.reason):
            raise ArtifactError(f"{url}: leads to something else than https; not followed.") from error
        raise _CutError(f"cannot be reached ({one_line(error.reason)})") from error
    except (ValueError, http.client.InvalidURL) as error:  # the order's, or one that the server leads to
        raise ArtifactError(f"{url}: leads to no address ({one_line(error)}); not followed.") from error
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"the connection was cut ({one_line(error)})") from error


def _require_room(folder: Path, needed_bytes: int) -> None:
    """Raises OSError before a package takes what its bundle, and the station's events, need."""
    if shutil.disk_usage(folder).free < needed_bytes:
        raise OSError(errno.ENOSPC, f"{needed_bytes / 1e6:,.0f} MB have to be free: {1 + ROOM} times its size")


def _write(answer: Any, part: Path, there: int, max_bytes: int, url: str, wait: Callable[[float], None]) -> None:
    """Write what comes, piece by piece: a server that trickles is no reason to hear nothing else."""
    length = answer.headers.get("Content-Length", "")
    expected = there + int(length) if length.isdecimal() else None
    written = there
    with part.open("r+b" if there else "wb") as out:
        out.seek(there)
        while max(written, expected or 0) <= max_bytes:
            _require_room(part.parent, (1 + ROOM) * (expected or written) - written)
            try:
                block = _patiently(lambda: bytes(answer.read1(BLOCK_BYTES)), wait)
            except (OSError, http.client.HTTPException) as error:  # of the network, and not of the disk
                raise _CutError(f"the connection was cut ({one_line(error)})") from error
            if not block:
                break
            written += len(block)
            out.write(block)
    if max(written, expected or 0) > max_bytes:
        part.unlink(missing_ok=True)
        raise ArtifactError(f"{url}: larger than the {max_bytes:,} bytes of `max_bytes`; not fetched.")
    if expected is not None and written < expected:
        raise _CutError(f"the connection was cut after {written:,} of {expected:,} bytes")
