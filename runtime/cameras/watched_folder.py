"""A watched folder: every picture that is put into it, once, as soon as it is whole."""

import logging
import os
import re
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Set
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from stat import S_ISREG

from core.errors import CameraError, DataError
from core.picture import decode_as_stored, may_be_picture, read_whole
from runtime.cameras.camera import Camera, CameraState, CameraStatus, Memory
from runtime.cameras.files import by_depth, printable
from runtime.cameras.folder_bell import FolderBell
from runtime.cameras.folder_look import FolderLook
from runtime.cameras.moving import move
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.1
"""The folder is looked at this often: notifications do not come from a network's folders."""
LOOK_AT_ALL_S = 1.0
"""Pictures that were given are looked at this often, for one that is written anew in its place; so is a folder that
takes long to list, while the bell names what comes."""
LOOK_SHARE = 0.05
"""Of the time may be spent on that."""
ENDLESS_S = 60.0
"""A picture that is not whole for so long is told of: its part waits, or nobody ends it."""
HANGS_S = 10.0
"""A look that takes longer is told of: a share that is away lets whoever asks wait."""


@dataclass
class _Seen:
    size: int
    changed_ns: int
    since_s: float
    """When it changed last."""
    first_s: float
    """When it was seen first."""
    is_given: bool = False
    was_read: bool = False
    """In vain: nothing has changed since."""


class WatchedFolder(Camera):
    """Gives each picture once, on its feed's thread, until `stopping`; one that is written anew counts again."""

    frames_total = None

    def __init__(
        self,
        path: Path,
        move_to: Path | None,
        name: str = "",
        unreadable_after_s: float = 10.0,
        part_id_pattern: str | None = None,
    ) -> None:
        """Watch `path` for the camera `name`. Raises CameraError where it, or `move_to`, cannot be used."""
        if not path.is_dir():
            raise CameraError(f"{path}: no such folder; make it, or mount it.")
        if move_to is not None:
            if move_to.resolve().is_relative_to(path.resolve()):
                raise CameraError(f"{move_to}: lies in the watched folder; set another `move_to`.")
            try:
                move_to.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CameraError(f"{move_to}: cannot be made ({error.strerror}); check `move_to`.") from error
        self._path = path
        self._move_to = move_to
        self._name = name
        self._unreadable_after_s = unreadable_after_s
        self._part_id = re.compile(part_id_pattern) if part_id_pattern is not None else None
        self._memory: Memory | None = None
        self._look = FolderLook(path)
        self._seen: dict[Path, _Seen] = {}
        self._pending: dict[Path, None] = {}
        """What was seen and not given, in the order in which it is to be given."""
        self._all_s = 0.0
        self._under_way: dict[bytes, tuple[Path, _Seen]] = {}
        self._status = CameraStatus(CameraState.STREAMING, time.time())

    def remember_by(self, memory: Memory) -> None:
        """See Camera."""
        self._memory = memory

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """See Camera. Pictures that appear together come in name order."""
        bell = self._look.bell = FolderBell()
        told: set[Path] = set()
        due_s = 0.0
        try:
            while not stopping.is_set():
                yield from self._read_each(self._named(time.monotonic(), told), stopping)
                started_s = time.monotonic()
                if started_s >= due_s and not stopping.is_set():
                    settled = self._settled(started_s, told)
                    looked_s = time.monotonic()
                    # A folder where much goes on rings all the time, and each look costs something.
                    longest_s = LOOK_AT_ALL_S if told and not self._pending else LOOK_EVERY_S
                    due_s = looked_s + min(longest_s, (looked_s - started_s) / LOOK_SHARE)
                    told = set()
                    yield from self._read_each(settled, stopping)
                told |= bell.wait(LOOK_EVERY_S)
        finally:
            bell.close()

    def judged(self, cause: bytes) -> None:
        """See Camera."""
        picture, seen = self._under_way.pop(cause, (None, None))
        if picture is not None and seen is not None:
            self._move(picture, seen, cause)

    def status(self) -> CameraStatus:
        """See Camera."""
        begun_s = self._look.begun_s
        if begun_s is None or time.monotonic() - begun_s < HANGS_S:
            return self._status
        reason = f"{self._path} has not answered for {HANGS_S:.0f} s; is its share away?"
        return replace(self._status, state=CameraState.STALLED, reason=reason)

    def close(self) -> None:
        """See Camera."""
        self._status = CameraStatus(CameraState.STOPPED, time.time())

    def _settled(self, now_s: float, whole: Set[Path] = frozenset()) -> list[Path]:
        """List the pictures not yet given that have not changed between two looks, or are `whole` as was told."""
        has_changed = self._look.again(now_s)
        if self._look.problem:
            self._tell_state(self._look.problem)
            return []  # what was seen there is known when it comes back
        all_of_them = self._look.pictures
        if has_changed or now_s >= self._all_s:
            self._seen = {picture: self._seen[picture] for picture in all_of_them if picture in self._seen}
        if now_s >= self._all_s:
            pictures: Iterable[Path] = all_of_them
        elif has_changed:
            waiting = {*self._pending, *whole}
            pictures = [picture for picture in all_of_them if picture in waiting or picture not in self._seen]
        else:
            pictures = dict.fromkeys([*self._pending, *(picture for picture in whole if picture in self._seen)])
        settled = self._look_at(pictures, now_s, whole)
        if now_s >= self._all_s:
            self._pending = {picture: None for picture in self._pending if picture in self._seen}
            self._all_s = now_s + max(LOOK_AT_ALL_S, (time.monotonic() - now_s) / LOOK_SHARE)
        self._tell_state(self._why_stuck(settled, now_s))
        return settled

    def _named(self, now_s: float, whole: Set[Path]) -> list[Path]:
        """List what was told to be `whole` and not yet given, before any look; nothing where something else waits."""
        if self._look.problem or not whole >= self._pending.keys():
            return []
        return self._look_at(sorted(picture for picture in whole if may_be_picture(picture.name)), now_s, whole)

    def _look_at(self, pictures: Iterable[Path], now_s: float, whole: Set[Path]) -> list[Path]:
        """Say which of `pictures` are not yet given, and have not changed since they were seen, or are `whole`."""
        settled = []
        for picture in pictures:
            seen = self._seen.get(picture)
            try:
                stat = picture.stat()
            except OSError:
                continue
            if not S_ISREG(stat.st_mode):
                continue
            if seen is None or (seen.size, seen.changed_ns) != (stat.st_size, stat.st_mtime_ns):
                first_s = now_s if seen is None or seen.is_given else seen.first_s
                seen = self._seen[picture] = _Seen(stat.st_size, stat.st_mtime_ns, now_s, first_s)
                is_still = picture in whole
            else:
                is_still = True
            if not seen.is_given:
                self._pending[picture] = None
                is_last_try = now_s - seen.since_s >= self._unreadable_after_s
                if is_still and (not seen.was_read or is_last_try):
                    settled.append(picture)
        return settled

    def _why_stuck(self, settled: Collection[Path], now_s: float) -> str:
        if self._look.odd is not None:
            return f"{printable(self._look.odd)} is no file, and never judged; take it away"
        for picture in self._pending:
            if now_s - self._seen[picture].first_s > ENDLESS_S and picture not in settled:
                return f"{printable(picture)} has not become whole for {ENDLESS_S:.0f} s"
        return ""

    def _read_each(self, settled: Iterable[Path], stopping: threading.Event) -> Iterator[Frame]:
        for picture in settled:
            if stopping.is_set():
                return
            frame = self._read(picture, self._seen[picture])
            if frame is not None:
                yield frame

    def _read(self, picture: Path, seen: _Seen) -> Frame | None:
        """Read a picture; None while it may become whole or changes, and where it was judged before."""
        captured = Moment.now()
        relative = picture.relative_to(self._path)
        where = b"%s\0%s\0%d %d" % (self._name.encode(), os.fsencode(relative), seen.size, seen.changed_ns)
        cause = blake2b(where, digest_size=16).digest()
        if cause in self._under_way:  # its folder was away, and is back before it is judged
            self._give(picture, seen)
            return None
        if self._memory is not None and self._memory.knows(cause):
            self._give(picture, seen)
            self._move(picture, seen, cause)
            return None
        data, (pixels, deep), fault = b"", (None, None), None
        try:
            data = read_whole(picture)
            pixels, deep = by_depth(decode_as_stored(data, picture))
        except DataError:
            fault = Reason.UNREADABLE
        if not _is_as_seen(picture, seen):
            return None
        seen.was_read = True
        if fault is not None and time.monotonic() - seen.since_s < self._unreadable_after_s:
            return None
        self._give(picture, seen)
        self._under_way[cause] = picture, seen
        identity = blake2b(cause + data, digest_size=16).hexdigest()
        found = self._part_id.search(printable(Path(picture.name))) if self._part_id else None
        part_id = found[1] if found else None
        told = (pixels, captured, printable(relative), fault, cause, identity, part_id)
        return Frame(*told, stored_u16=deep)

    def _give(self, picture: Path, seen: _Seen) -> None:
        seen.is_given = True
        self._pending.pop(picture, None)

    def _move(self, picture: Path, seen: _Seen, cause: bytes) -> None:
        """Move a judged picture away, unless another one has its place by now; none takes the place of another."""
        if self._move_to is None:
            return
        goal = self._move_to / picture.relative_to(self._path)
        try:
            goal.parent.mkdir(parents=True, exist_ok=True)
            if not _is_as_seen(picture, seen):
                log.info("judged picture was taken away before it was moved file=%s", printable(picture))
            else:
                move(picture, goal, seen.changed_ns)
        except FileNotFoundError:
            log.info("judged picture was taken away before it was moved file=%s", printable(picture))
        except OSError as error:
            log.error("judged picture cannot be moved file=%s to=%s: %s", printable(picture), printable(goal), error)
            return
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


def _is_as_seen(picture: Path, seen: _Seen) -> bool:
    try:
        stat = picture.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (seen.size, seen.changed_ns)
