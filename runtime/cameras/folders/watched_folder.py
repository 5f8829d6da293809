"""A watched folder: every picture that is put into it, once, as soon as it is whole."""

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from core.errors import CameraError, DataError
from core.files import lies_in
from core.pictures.picture import decode_as_stored, read_whole
from runtime.cameras.camera import Camera, CameraState, CameraStatus, Memory
from runtime.cameras.files import by_depth, printable
from runtime.cameras.folders.folder_bell import FolderBell
from runtime.cameras.folders.moving import Mover
from runtime.cameras.folders.newcomers import LOOK_AT_ALL_S, LOOK_SHARE, Newcomers, Seen
from runtime.parts.frame import FileMark, Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.1
"""The folder is looked at this often: notifications do not come from a network's folders."""
HANGS_S = 10.0
"""A look that takes longer is told of: a share that is away lets whoever asks wait."""


class WatchedFolder(Camera):
    """Gives each picture once, on its feed's thread, until `stopping`; one that is written again counts again."""

    frames_total = None

    def __init__(
        self,
        path: Path,
        move_to: Path | None,
        name: str = "",
        unreadable_after_s: float = 10.0,
        part_id_pattern: str | None = None,
        kept: Sequence[Path] = (),
    ) -> None:
        """Watch `path` for the camera `name`, but not the folders `kept`, to which links may lead.

        Raises CameraError where it, or `move_to`, cannot be used.
        """
        if not path.is_dir():
            raise CameraError(f"{path}: no such folder; make it, or mount it.")
        if move_to is not None:
            if lies_in(move_to, path):
                raise CameraError(f"{move_to}: lies in the watched folder; set another `move_to`.")
            try:
                move_to.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CameraError(f"{move_to}: cannot be made ({error.strerror}); check `move_to`.") from error
        self._path = path
        self._name = name
        self._part_id = re.compile(part_id_pattern) if part_id_pattern is not None else None
        self._memory: Memory | None = None
        self._newcomers = Newcomers(path, unreadable_after_s, kept)
        self._under_way: dict[bytes, tuple[Path, Seen]] = {}
        self._mover = Mover(path, move_to, self._forget) if move_to is not None else None
        """On the feed's thread: a share that is away lets that one wait, and nobody who judges."""
        self._status = CameraStatus(CameraState.STREAMING, time.time())

    def remember_by(self, memory: Memory) -> None:
        """See Camera."""
        self._memory = memory

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """See Camera. Pictures that appear together come in name order."""
        newcomers = self._newcomers
        bell = newcomers.look.bell = FolderBell()
        told: set[Path] = set()
        due_s = 0.0
        try:
            while not stopping.is_set():
                self._tidy()
                yield from self._read_each(newcomers.named(time.monotonic(), told), stopping)
                started_s = time.monotonic()
                if started_s >= due_s and not stopping.is_set():
                    settled = newcomers.settled(started_s, told)
                    self._tell_state(newcomers.problem)
                    looked_s = time.monotonic()
                    # A folder where much goes on rings all the time, and each look costs something.
                    longest_s = LOOK_AT_ALL_S if told and not newcomers.are_waiting else LOOK_EVERY_S
                    due_s = looked_s + min(longest_s, (looked_s - started_s) / LOOK_SHARE)
                    told = set()
                    yield from self._read_each(settled, stopping)
                told |= bell.wait(LOOK_EVERY_S)
        finally:
            bell.close()
            self._tidy()

    def judged(self, cause: bytes) -> None:
        """See Camera. Returns at once."""
        picture, seen = self._under_way.pop(cause, (None, None))
        if picture is not None and seen is not None and self._mover is not None:
            self._mover.add((picture, seen, cause))

    def status(self) -> CameraStatus:
        """See Camera."""
        waited_for = [(self._path, self._newcomers.look.begun_s)]
        if self._mover is not None:
            waited_for.append((self._mover.to, self._mover.begun_s))
        for folder, begun_s in waited_for:
            if begun_s is not None and time.monotonic() - begun_s >= HANGS_S:
                reason = f"{folder} has not answered for {HANGS_S:.0f} s; is its share away?"
                return replace(self._status, state=CameraState.STALLED, reason=reason)
        if self._mover is not None and self._status.state == CameraState.STREAMING:
            return replace(self._status, reason=self._mover.problem)
        return self._status

    def close(self) -> None:
        """See Camera."""
        self._status = CameraStatus(CameraState.STOPPED, time.time())

    def _read_each(self, settled: Mapping[Path, Seen], stopping: threading.Event) -> Iterator[Frame]:
        for picture, seen in settled.items():
            if stopping.is_set():
                return
            frame = self._read(picture, seen)
            if frame is not None:
                yield frame
                self._tidy()

    def _read(self, picture: Path, seen: Seen) -> Frame | None:
        """Read a picture; None while it may become whole or changes, and where it was judged before."""
        captured = Moment.now()
        cause = self._cause(picture, seen)
        if self._is_known(picture, seen, cause):
            return None
        data, (pixels, deep), why = b"", (None, None), None
        try:
            data = read_whole(picture)
            pixels, deep = by_depth(decode_as_stored(data, picture))
        except DataError as error:
            why = str(error)
        if not seen.is_still(picture):
            return None
        seen.was_read, seen.content = True, blake2b(data, digest_size=16).digest()
        if seen.before is not None and seen.before.content == seen.content:
            if self._memory is not None:
                self._memory.learn(cause)
            self._leave(picture, seen, cause)
            return None
        if why is not None and not self._newcomers.is_last_try(seen, time.monotonic()):
            return None
        self._newcomers.give(picture, seen)
        self._under_way[cause] = picture, seen
        identity = blake2b(cause + data, digest_size=16).hexdigest()
        found = self._part_id.search(printable(Path(picture.name))) if self._part_id else None
        mark = FileMark(identity, found[1] if found else None)
        told = (pixels, captured, printable(picture.relative_to(self._path)), Reason.UNREADABLE if why else None, why)
        return Frame(*told, cause, mark, stored_u16=deep)

    def _cause(self, picture: Path, seen: Seen) -> bytes:
        relative = os.fsencode(picture.relative_to(self._path))
        where = b"%s\0%s\0%d %d" % (self._name.encode(), relative, seen.size, seen.changed_ns)
        return blake2b(where, digest_size=16).digest()

    def _is_known(self, picture: Path, seen: Seen, cause: bytes) -> bool:
        """Say, without reading it, whether a picture is being judged or was."""
        if cause in self._under_way:  # its folder was away, and is back before it is judged
            self._newcomers.give(picture, seen)
            return True
        if self._memory is not None and self._memory.knows(cause):
            self._leave(picture, seen, cause)
            return True
        return seen.before is not None and self._cause(picture, seen.before) in self._under_way

    def _leave(self, picture: Path, seen: Seen, cause: bytes) -> None:
        """Take a picture for judged, as it was before."""
        self._newcomers.give(picture, seen)
        if self._mover is not None:
            self._mover.add((picture, seen, cause))

    def _tidy(self) -> None:
        """Move what was judged."""
        if self._mover is not None:
            self._mover.tidy()

    def _forget(self, cause: bytes) -> None:
        if self._memory is not None:
            self._memory.forget(cause)

    def _tell_state(self, problem: str) -> None:
        was = self._status
        state = CameraState.STALLED if problem else CameraState.STREAMING
        if (state, problem) != (was.state, was.reason):
            since_at_s = was.since_at_s if state == was.state else time.time()
            self._status = replace(was, state=state, since_at_s=since_at_s, reason=problem)
            level = logging.WARNING if problem else logging.INFO
            log.log(level, "camera %s camera=%s reason=%r", state, self._name, problem)
