"""Producers: makers' drivers by EMVA's GenTL standard (.cti files), called by their C interface.

EMVA's Python binding of it, and harvesters above that, keep the interpreter while the driver waits: with genicam 1.6.0
a second's wait for a frame stops every other thread for that second. Calls by ctypes let go of it.
"""

import ctypes
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ctypes import CDLL, byref, c_char_p, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDERS_VARIABLE = "GENICAM_GENTL64_PATH"
"""Names the folders of all makers' producers, as the standard says."""
DISCOVERY_MS = c_uint64(1000)
"""How long cameras may take to answer."""
NOT_AVAILABLE, TIMEOUT = -1014, -1011
WORDS = {
    -1004: "it is open already",
    -1005: "another program has it",
    -1007: "it is gone",
    -1010: "it does not answer",
    TIMEOUT: "it did not answer in time",
}
"""What the standard's error codes mean to a person."""
NUMBERS = {3: "h", 4: "H", 5: "i", 6: "I", 7: "q", 8: "Q", 9: "d", 10: "P", 11: "?", 12: "N", 14: "n"}
"""How the standard's data types are laid out."""
STRING = 1
EXCLUSIVE = c_int32(4)
DEVICE_MODEL, DEVICE_SERIAL = c_int32(2), c_int32(7)


class ProducerError(OSError):
    """What a producer refuses, in words, with its `code`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Device:
    """A camera that a producer sees."""

    interface: str
    name: str
    """The producer's own, as `interface` is."""
    model: str
    serial: str
    """Empty where the camera tells none."""

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.model}, serial {self.serial or 'unknown'}, device {self.name}"


class Producer:
    """A driver that is loaded. Calls come from any thread."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where `path` is no producer for this machine."""
        self.path = path
        self.users = 0
        self._interfaces: dict[str, c_void_p] = {}
        self._lock = threading.Lock()
        if not path.is_file():
            raise OSError(f"there is no producer {path}; install the camera maker's software")
        try:
            self._library = CDLL(str(path))
            self._initialise = self._library.GCInitLib
        except OSError as error:
            # Of a file that is there the loader says so, too, that it is not.
            foreign = str(error).startswith(f"{path}: cannot open shared object file")
            reason = "it is made for another processor" if foreign else error
            raise OSError(
                f"producer {path} cannot be loaded ({reason}); install the camera maker's software for this machine"
            ) from error
        except AttributeError:
            raise OSError(f"{path} is no GenTL producer") from None
        self.call("GCInitLib")
        try:
            self._system = self.opened("TLOpen")
        except OSError:
            self.call("GCCloseLib")
            raise

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function of the standard. Raises ProducerError for what it refuses."""
        code = getattr(self._library, function)(*arguments)
        if code:
            text = ctypes.create_string_buffer(512)
            self._library.GCGetLastError(byref(c_int32()), text, byref(c_size_t(512)))
            own = text.value.decode(errors="replace").strip()
            raise ProducerError(code, f"{WORDS.get(code, 'its producer refuses')}: {own or function} ({code})")

    def opened(self, function: str, *arguments: Any) -> c_void_p:
        """Call a function that opens something, and give its handle."""
        handle = c_void_p()
        self.call(function, *arguments, byref(handle))
        return handle

    def count(self, function: str, *arguments: Any) -> int:
        """Call a function that counts."""
        number = c_uint32()
        self.call(function, *arguments, byref(number))
        return number.value

    def name(self, function: str, *arguments: Any) -> bytes:
        """Call a function that names something."""
        size = c_size_t()
        self.call(function, *arguments, None, byref(size))
        text = ctypes.create_string_buffer(size.value)
        self.call(function, *arguments, text, byref(size))
        return text.value

    def ask(self, function: str, *arguments: Any) -> Any:
        """Ask for what a producer may know, a string or a number; None where it does not."""
        kind, size, answer = c_int32(), c_size_t(1024), ctypes.create_string_buffer(1024)
        if getattr(self._library, function)(*arguments, byref(kind), answer, byref(size)):
            return None
        if kind.value == STRING:
            return answer.value.decode(errors="replace")
        layout = NUMBERS.get(kind.value)
        return struct.unpack_from(layout, answer)[0] if layout else None

    def devices(self) -> list[Device]:
        """Look for cameras. Those that are open stay so. Raises ProducerError where the driver refuses to look."""
        found = []
        with self._lock:
            self.call("TLUpdateInterfaceList", self._system, None, DISCOVERY_MS)
            for number in range(self.count("TLGetNumInterfaces", self._system)):
                name = self.name("TLGetInterfaceID", self._system, c_uint32(number))
                handle = self._interface(name.decode())
                self.call("IFUpdateDeviceList", handle, None, DISCOVERY_MS)
                for index in range(self.count("IFGetNumDevices", handle)):
                    device = self.name("IFGetDeviceID", handle, c_uint32(index))
                    model, serial = (
                        self.ask("IFGetDeviceInfo", handle, c_char_p(device), which) or ""
                        for which in (DEVICE_MODEL, DEVICE_SERIAL)
                    )
                    found.append(Device(name.decode(), device.decode(), model or "a camera", serial))
        return found

    @contextmanager
    def open_device(self, device: Device) -> Iterator[c_void_p]:
        """Take a camera, for this program alone. Raises ProducerError where it does not give it."""
        with self._lock:
            interface = self._interface(device.interface)
        handle = self.opened("IFOpenDevice", interface, c_char_p(device.name.encode()), EXCLUSIVE)
        try:
            yield handle
        finally:
            quietly(self.call, "DevClose", handle)

    def close(self) -> None:
        """Release the driver."""
        for handle in self._interfaces.values():
            quietly(self.call, "IFClose", handle)
        quietly(self.call, "TLClose", self._system)
        quietly(self.call, "GCCloseLib")

    def _interface(self, name: str) -> c_void_p:
        if name not in self._interfaces:
            self._interfaces[name] = self.opened("TLOpenInterface", self._system, c_char_p(name.encode()))
        return self._interfaces[name]


def quietly(call: Callable[..., None], *arguments: Any) -> None:
    """Undo something, as far as a driver still can."""
    with suppress(OSError):
        call(*arguments)


_loaded: dict[Path, Producer] = {}
_loading = threading.Lock()


@contextmanager
def loaded(path: Path) -> Iterator[Producer]:
    """Give a producer; all who use it at a time have the same one, for it lets itself be opened once a process.

    Raises OSError where there is none.
    """
    path = path.resolve()
    with _loading:
        producer = _loaded.get(path) or Producer(path)
        _loaded[path] = producer
        producer.users += 1
    try:
        yield producer
    finally:
        with _loading:
            producer.users -= 1
            if not producer.users:
                del _loaded[path]
                producer.close()


def producer_files(producer: Path | None) -> list[Path]:
    """Give the files that `producer` means, a file or a folder; None: those of `FOLDERS_VARIABLE`.

    Raises OSError where there is none.
    """
    if producer is not None and not producer.is_dir():
        return [producer]
    named = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if producer is None else [str(producer)]
    folders = [Path(folder) for folder in named if folder]
    files = sorted(file for folder in folders for file in folder.glob("*.cti"))
    if not files:
        where = f"no .cti file lies in {', '.join(map(str, folders))}" if folders else f"{FOLDERS_VARIABLE} is not set"
        raise OSError(f"{where}; install the camera maker's software, or name its `producer`")
    return files
