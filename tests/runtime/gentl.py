"""GenTL producers for the tests: EMVA's `viky.cti`, a driver of three simulated cameras, and one of this file's own.

The own one speaks the standard on one side, and GigE Vision by viva-genicam on the other: behind it stand the cameras
of `gige`, which can be triggered, killed, taken away and robbed of packets, as viky's cannot.
"""
# ruff: noqa: N802, for the functions have the standard's names

import ctypes
import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.cameras.settings import GentlSettings
from tests.runtime.gige import HOST, FactoryCamera

IO, ACCESS_DENIED, TIMEOUT, NOT_AVAILABLE = -1010, -1005, -1011, -1014
ACCESS_STATUS, OPEN, NO_ACCESS = 5, 5, 3
BOOTSTRAP_URL, BLOCK_BYTES = 0x0200, 512
TICKS = 0x093C


def viky() -> Path:
    """The file of EMVA's simulated producer; skips where it is not installed."""
    pytest.importorskip("genicam", reason="genicam is not installed")
    found = importlib.util.find_spec("genicam")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "viky.cti"


class RefusedError(Exception):
    """A code of the standard."""


class GigeProducer:
    """Has the functions of a producer's library that are called, with the arguments that ctypes would hand on."""

    def __init__(self, _path: str = "") -> None:
        self._things: dict[int, Any] = {}
        self._numbers = itertools.count(1)
        self._found: list[Any] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        import viva_genicam as vg

        function = getattr(self, f"_{name}")

        def call(*arguments: Any) -> int:
            try:
                function(*arguments)
            except RefusedError as refused:
                return int(refused.args[0])
            except vg.GenicamError as error:
                return ACCESS_DENIED if "control" in str(error) else IO
            return 0

        return call

    def _GCInitLib(self) -> None: ...
    def _GCCloseLib(self) -> None: ...
    def _GCGetLastError(self, *_: Any) -> None: ...
    def _TLClose(self, _: Any) -> None: ...
    def _IFClose(self, _: Any) -> None: ...
    def _TLUpdateInterfaceList(self, *_: Any) -> None: ...
    def _DSFlushQueue(self, *_: Any) -> None: ...
    def _DSQueueBuffer(self, *_: Any) -> None: ...
    def _DSRevokeBuffer(self, *_: Any) -> None: ...
    def _GCUnregisterEvent(self, *_: Any) -> None: ...
    def _DSClose(self, *_: Any) -> None: ...

    def _TLOpen(self, handle: Any) -> None:
        self._give(handle, "system")

    def _TLGetNumInterfaces(self, _: Any, number: Any) -> None:
        number._obj.value = 1

    def _TLGetInterfaceID(self, _: Any, _number: Any, text: Any, size: Any) -> None:
        self._name(b"lo", text, size)

    def _TLOpenInterface(self, _: Any, _name: Any, handle: Any) -> None:
        self._give(handle, "lo")

    def _IFUpdateDeviceList(self, *_: Any) -> None:
        import viva_genicam as vg

        self._found = vg.discover(300, iface=HOST)

    def _IFGetNumDevices(self, _: Any, number: Any) -> None:
        number._obj.value = len(self._found)

    def _IFGetDeviceID(self, _: Any, number: Any, text: Any, size: Any) -> None:
        self._name(self._found[number.value].ip.encode(), text, size)

    def _IFGetDeviceInfo(self, _: Any, _name: Any, what: Any, *answer: Any) -> None:
        self._answer({2: "Fake"}.get(what.value), *answer)

    def _IFOpenDevice(self, _: Any, name: Any, _flags: Any, handle: Any) -> None:
        import viva_genicam as vg

        device = next((each for each in self._found if each.ip.encode() == name.value), None)
        if device is None:
            raise RefusedError(IO)
        self._give(handle, vg.connect_gige(device, HOST))

    def _DevClose(self, device: Any) -> None:
        self._things.pop(device.value).close()

    def _DevGetPort(self, device: Any, handle: Any) -> None:
        handle._obj.value = device.value

    def _DevGetInfo(self, device: Any, what: Any, *answer: Any) -> None:
        import viva_genicam as vg

        camera = self._things[device.value]
        if what.value == ACCESS_STATUS:
            self._answer(NO_ACCESS if camera.control_state == vg.ControlState.LOST else OPEN, *answer)
        else:
            self._answer(int.from_bytes(camera.read_register(TICKS, 8), "big"), *answer)

    def _GCGetPortInfo(self, _: Any, _what: Any, *answer: Any) -> None:
        self._answer("Device", *answer)

    def _GCGetNumPortURLs(self, _: Any, number: Any) -> None:
        number._obj.value = 1

    def _GCGetPortURLInfo(self, port: Any, _number: Any, _what: Any, *answer: Any) -> None:
        self._answer(self._read(port, BOOTSTRAP_URL, BLOCK_BYTES).split(b"\0")[0].decode(), *answer)

    def _GCReadPort(self, port: Any, address: Any, data: Any, size: Any) -> None:
        data.raw = self._read(port, address.value, size._obj.value)

    def _GCWritePort(self, port: Any, address: Any, data: bytes, _size: Any) -> None:
        self._things[port.value].write_register(address.value, data)

    def _DevGetDataStreamID(self, _: Any, _number: Any, text: Any, size: Any) -> None:
        self._name(b"0", text, size)

    def _DevOpenDataStream(self, device: Any, _name: Any, handle: Any) -> None:
        self._give(handle, {"camera": self._things[device.value]})

    def _DSGetInfo(self, *_: Any) -> None:
        raise RefusedError(NOT_AVAILABLE)

    def _GCRegisterEvent(self, stream: Any, _type: Any, handle: Any) -> None:
        handle._obj.value = stream.value

    def _DSAllocAndAnnounceBuffer(self, _stream: Any, _size: Any, _own: Any, handle: Any) -> None:
        self._give(handle, None)

    def _DSStartAcquisition(self, stream: Any, *_: Any) -> None:
        found = self._things[stream.value]
        found["frames"] = found["camera"].stream(HOST, None, True, deliver_incomplete=True)
        found["frames"].__enter__()

    def _DSStopAcquisition(self, stream: Any, *_: Any) -> None:
        self._things[stream.value]["frames"].__exit__(None, None, None)

    def _EventGetData(self, stream: Any, event: Any, _size: Any, milliseconds: Any) -> None:
        import viva_genicam as vg

        found = self._things[stream.value]
        try:
            frame = found["frames"].next_frame(milliseconds.value)
        except vg.GenicamError:
            raise RefusedError(TIMEOUT) from None
        if frame is None:
            raise RefusedError(TIMEOUT)
        parts = [(0, frame.payload()), *sorted((frame.chunks or {}).items())]
        content = b"".join(part for _, part in parts)
        found.update(frame=frame, parts=parts, content=ctypes.create_string_buffer(content, len(content)))
        event[0] = stream.value

    def _DSGetBufferInfo(self, stream: Any, _buffer: Any, what: Any, *answer: Any) -> None:
        found = self._things[stream.value]
        frame = found["frame"]
        told = {
            0: ctypes.addressof(found["content"]),
            3: frame.ts_dev,
            7: not frame.is_complete,
            9: len(found["content"]),
        }
        told |= {10: frame.width, 11: frame.height, 14: frame.padding_x, 16: frame.block_id}
        self._answer(told.get(what.value), *answer)

    def _DSGetBufferChunkData(self, stream: Any, _buffer: Any, chunks: Any, count: Any) -> None:
        offset = 0
        parts = self._things[stream.value]["parts"]
        count._obj.value = len(parts) - 1
        for index, (number, part) in enumerate(parts):
            if chunks is not None and index:
                each = chunks[index - 1]
                each.number, each.offset, each.length = number, offset, len(part)
            offset += len(part)

    def _read(self, port: Any, address: int, size: int) -> bytes:
        camera, data = self._things[port.value], b""
        while len(data) < size:
            block = min(BLOCK_BYTES, -(-(size - len(data)) // 4) * 4)
            data += camera.read_register(address + len(data), block)
        return data[:size]

    def _give(self, handle: Any, thing: Any) -> None:
        handle._obj.value = next(self._numbers)
        self._things[handle._obj.value] = thing

    def _name(self, name: bytes, text: Any, size: Any) -> None:
        if text is not None:
            text.value = name
        size._obj.value = len(name) + 1

    def _answer(self, told: str | int | bool | None, kind: Any, data: Any, _size: Any) -> None:
        if told is None:
            raise RefusedError(NOT_AVAILABLE)
        kind._obj.value = {str: 1, bool: 11, int: 8}[type(told)]
        data.value = told.encode() if isinstance(told, str) else told.to_bytes(8, "little")


class BehindProducer(FactoryCamera):
    """A camera of `gige` that is reached through the own producer, whose file need only be there."""

    def settings(self, **changed: Any) -> GentlSettings:
        return GentlSettings.model_validate(self.section(**changed))

    def section(self, **changed: Any) -> dict[str, Any]:
        section = {**super().section(**changed), "kind": "gentl", "device": HOST, "producer": __file__}
        del section["address"], section["interface"]
        return section
