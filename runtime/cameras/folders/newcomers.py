"""Newcomers: which pictures in a watched folder are new there and whole."""

import os
import time
from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from core.pictures.picture import may_be_picture
from runtime.cameras.files import KEPT, printable
from runtime.cameras.folders.folder_look import FolderLook

LOOK_AT_ALL_S = 1.0
"""Pictures that were given are looked at this often, for one that is written again in its place; so is a folder that
takes long to list, while the bell names what comes."""
LOOK_SHARE = 0.05
"""Of the time may be spent on that."""
ENDLESS_S = 60.0
"""A picture that is not whole for so long is told of: its part waits, or nobody ends it."""


@dataclass
class Seen:
    """What is known of a file since it was seen first."""

    size: int
    changed_ns: int
    since_s: float
    """When it changed last."""
    first_s: float
    """When it was seen first."""
    is_given: bool = False
    was_read: bool = False
    """In vain: nothing has changed since."""
    inode: int = 0
    content: bytes = b""
    """A digest of what was read, where it was given in this run."""
    before: "Seen | None" = None
    """Of a file that was given, and of which somebody has set the time since: as it was then."""

    def is_still(self, picture: Path) -> bool:
        """Whether `picture` is there, as it was seen."""
        try:
            stat = picture.stat()
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.changed_ns)

    def dated_before(self, stat: os.stat_result) -> "Seen | None":
        """Give what was given, where this may be the same with another time, by `stat`: by writing both times are one.

        Programs that copy a picture with its time set that last, some when it has been judged already; some twice.
        """
        given = self if self.is_given else self.before
        if given is None or (stat.st_ino, stat.st_size) != (given.inode, given.size):
            return None
        given.before = None  # else all the times of a file would be kept
        return given if stat.st_mtime_ns != stat.st_ctime_ns else None


class Newcomers:
    """Knows the pictures below a folder that were seen, and those that are still to be given. Belongs to one thread."""

    def __init__(self, path: Path, unreadable_after_s: float, kept: Sequence[Path] = ()) -> None:
        """What cannot be read `unreadable_after_s` after it changed last is given all the same."""
        self.look = FolderLook(path, kept)
        self.problem = ""
        """What keeps a picture from being given; empty where all is well."""
        self._unreadable_after_s = unreadable_after_s
        self._seen: dict[Path, Seen] = {}
        self._pending: dict[Path, None] = {}
        """What was seen and not given, in the order in which it is to be given."""
        self._all_s = 0.0
        self._closed: tuple[Path, str] | None = None
        """A picture that cannot be asked for its size, and why."""

    @property
    def are_waiting(self) -> bool:
        """Whether something was seen and not given."""
        return bool(self._pending)

    def settled(self, now_s: float, whole: Set[Path] = frozenset()) -> dict[Path, Seen]:
        """Look, and give those not yet given that have not changed between two looks, or are `whole` as was told."""
        has_changed = self.look.again(now_s)
        if self.look.problem:
            self.problem = self.look.problem
            return {}  # what was seen there is known when it comes back
        all_of_them = self.look.pictures
        if has_changed or now_s >= self._all_s:
            self._seen = {picture: self._seen[picture] for picture in all_of_them if picture in self._seen}
            self._pending = {picture: None for picture in self._pending if picture in self._seen}
        if now_s >= self._all_s:
            self._closed = None
            pictures: Iterable[Path] = all_of_them
        elif has_changed:
            waiting = {*self._pending, *whole}
            pictures = [picture for picture in all_of_them if picture in waiting or picture not in self._seen]
        else:
            pictures = dict.fromkeys([*self._pending, *(picture for picture in whole if picture in self._seen)])
        settled = self._look_at(pictures, now_s, whole)
        if now_s >= self._all_s:
            self._all_s = now_s + max(LOOK_AT_ALL_S, (time.monotonic() - now_s) / LOOK_SHARE)
        self.problem = self._why_stuck(settled, now_s)
        return settled

    def named(self, now_s: float, whole: Set[Path]) -> dict[Path, Seen]:
        """Give what was told to be `whole` and not yet given, before any look; nothing where something else waits."""
        if self.look.problem or not whole >= self._pending.keys():
            return {}
        return self._look_at(sorted(picture for picture in whole if may_be_picture(picture.name)), now_s, whole)

    def _look_at(self, pictures: Iterable[Path], now_s: float, whole: Set[Path]) -> dict[Path, Seen]:
        """Say which of `pictures` are not yet given, and have not changed since they were seen, or are `whole`."""
        settled = {}
        for picture in pictures:
            seen = self._seen.get(picture)
            try:
                stat = picture.stat()
            except FileNotFoundError:
                continue
            except OSError as error:
                self._closed = picture, error.strerror or str(error)
                continue
            if not S_ISREG(stat.st_mode):
                continue
            if seen is None or (seen.size, seen.changed_ns) != (stat.st_size, stat.st_mtime_ns):
                first_s = now_s if seen is None or seen.is_given else seen.first_s
                before = seen.dated_before(stat) if seen is not None else None
                told = stat.st_size, stat.st_mtime_ns, now_s, first_s
                seen = self._seen[picture] = Seen(*told, inode=stat.st_ino, before=before)
                is_still = picture in whole
            else:
                is_still = True
            if not seen.is_given:
                self._pending[picture] = None
                if is_still and (not seen.was_read or self.is_last_try(seen, now_s)):
                    settled[picture] = seen
        return settled

    def is_last_try(self, seen: Seen, now_s: float) -> bool:
        """Whether what cannot be read now will not become whole any more."""
        return now_s - seen.since_s >= self._unreadable_after_s

    def give(self, picture: Path, seen: Seen) -> None:
        """`picture` is given, and counts again where it is written again."""
        seen.is_given = True
        self._pending.pop(picture, None)

    def _why_stuck(self, settled: Collection[Path], now_s: float) -> str:
        if self.look.kept is not None:
            return f"{printable(self.look.kept)} {KEPT}"
        if self.look.odd is not None:
            return f"{printable(self.look.odd)} is no file and is never judged; remove it"
        if closed := self.look.closed or self._closed:
            return f"{printable(closed[0])} cannot be looked at ({closed[1]}), and is not judged; check its permissions"
        for picture in self._pending:
            if now_s - self._seen[picture].first_s > ENDLESS_S and picture not in settled:
                return f"{printable(picture)} has not become whole for {ENDLESS_S:.0f} s"
        return ""
