"""The folder bell: Linux tells which files in a folder were closed after writing, or moved in (inotify).

It rings for folders of this machine only: what comes over a network, or is mapped into memory, has to be looked for.
"""

import ctypes
import os
import select
import struct
from pathlib import Path

CLOSED, MOVED_IN, CREATED, LEFT = 0x8, 0x80, 0x100, 0x40 | 0x200
"""IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE, IN_MOVED_FROM and IN_DELETE of inotify(7)."""
ONLY_FOLDERS = 0x1000000
HEAD = struct.Struct("iIII")


class FolderBell:
    """Belongs to one thread, until `close`. Where there is no inotify it never rings."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._folders: dict[int, Path] = {}
        self._known: set[Path] = set()
        try:
            self._file = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except AttributeError:
            self._file = -1

    def hear(self, folder: Path) -> None:
        """Ring for what happens in `folder` from now on."""
        if self._file < 0 or folder in self._known:
            return
        self._known.add(folder)
        number = self._libc.inotify_add_watch(
            self._file, os.fsencode(folder), CLOSED | MOVED_IN | CREATED | LEFT | ONLY_FOLDERS
        )
        if number >= 0:  # or the user's limit is reached, or it is gone: it is looked at all the same
            self._folders[number] = folder

    def wait(self, timeout_s: float) -> set[Path]:
        """Wait until it rings; gives the files that are written to no more, as far as it was told."""
        if self._file < 0:
            select.select([], [], [], timeout_s)
            return set()
        poll = select.poll()
        poll.register(self._file, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            return set()
        try:
            told = os.read(self._file, 2**16)
        except BlockingIOError:
            return set()
        whole, at = set[Path](), 0
        while at < len(told):
            number, mask, _cookie, length = HEAD.unpack_from(told, at)
            name = told[at + HEAD.size : at + HEAD.size + length].rstrip(b"\0")
            at += HEAD.size + length
            if mask & (CLOSED | MOVED_IN) and number in self._folders:
                whole.add(self._folders[number] / os.fsdecode(name))
            if mask & 0x8000 and number in self._folders:  # IN_IGNORED: the folder is gone
                self._known.discard(self._folders.pop(number))
        return whole

    def close(self) -> None:
        """Hear nothing more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
