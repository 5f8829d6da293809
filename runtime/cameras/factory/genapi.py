"""GenApi: a camera's description read by EMVA's own reader, its registers by the producer before it.

Imported only where the package genicam is there, which keeps this thread's interpreter for itself: whatever waits for
the camera is a call of the producer, which does not.
"""

import ctypes
import io
import re
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from ctypes import byref, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from urllib.parse import unquote

from genicam import genapi

from core.errors import one_line
from runtime.cameras.factory.producer import Producer

KINDS = {
    genapi.EInterfaceType.intfIInteger: "Integer",
    genapi.EInterfaceType.intfIFloat: "Float",
    genapi.EInterfaceType.intfIBoolean: "Boolean",
    genapi.EInterfaceType.intfIEnumeration: "Enumeration",
    genapi.EInterfaceType.intfIString: "String",
}
"""Of nodes that hold a value."""
URL = re.compile(r"local:[^;]*;(?:0x)?(?P<address>[0-9a-f]+);(?:0x)?(?P<size>[0-9a-f]+)|file:/*(?P<path>/[^?]*)", re.I)
"""Where a description lies: in the camera's memory, or in a file of its maker's software."""
URL_TEXT, PORT_NAME, ACCESS_STATUS = c_int32(0), c_int32(12), c_int32(5)
LOST = (3, 6)
"""Access that is no longer ours: none, or to read alone."""
Chunk = tuple[int, int, int]
"""Its number, and where in the buffer it begins and how long it is, in bytes."""


class Port(genapi.AbstractPort):  # type: ignore[misc]
    """The registers of an open camera."""

    def __init__(self, producer: Producer, device: c_void_p) -> None:
        """Raises ProducerError where the camera lets none be read."""
        super().__init__()
        self._producer = producer
        self._device = device
        self._handle = producer.opened("DevGetPort", device)
        self.name = str(producer.ask("GCGetPortInfo", self._handle, PORT_NAME) or "Device")
        self.description_at = 0
        """The address of the description in the camera; 0 where it lies elsewhere."""

    def read(self, address: int, length: int) -> bytes:
        """Read registers. Raises ProducerError where the camera does not answer."""
        data, size = ctypes.create_string_buffer(length), c_size_t(length)
        self._producer.call("GCReadPort", self._handle, c_uint64(address), data, byref(size))
        return data.raw

    def write(self, address: int, data: bytes) -> None:
        """Write registers. Raises ProducerError where the camera does not take it."""
        self._producer.call("GCWritePort", self._handle, c_uint64(address), bytes(data), byref(c_size_t(len(data))))

    def get_access_mode(self) -> int:
        """Both, as the package asks."""
        return int(genapi.EAccessMode.RW)

    def is_there(self) -> bool:
        """Ask the camera, which takes a moment, whether it answers, and its producer whether it is still ours."""
        try:
            self.read(self.description_at, 4)
        except OSError:
            return False
        return self._producer.ask("DevGetInfo", self._device, ACCESS_STATUS) not in LOST

    def description(self) -> bytes:
        """Fetch the XML. Raises OSError where that fails."""
        urls = [
            self._producer.ask("GCGetPortURLInfo", self._handle, c_uint32(number), URL_TEXT) or ""
            for number in range(self._producer.count("GCGetNumPortURLs", self._handle))
        ]
        for found in filter(None, map(URL.match, urls)):
            if found["path"]:
                content = Path(unquote(found["path"])).read_bytes()
            else:
                self.description_at = int(found["address"], 16)
                content = self.read(self.description_at, int(found["size"], 16))
            return (_unpacked(content) if content.startswith(b"PK") else content).rstrip(b"\0")
        raise OSError(f"it has no description that can be read; it names {', '.join(urls) or 'none'}")


class GenapiNodes:
    """See Nodes. It belongs to one thread."""

    def __init__(self, producer: Producer, device: c_void_p) -> None:
        """Raises OSError where the camera has no description that can be read."""
        self._port = Port(producer, device)
        self._map = genapi.NodeMap()
        with _as_os_errors():
            self._map.load_xml_from_string(self._port.description().decode(errors="replace"))
            self._map.connect(self._port, self._port.name)
        self._nodes = {each.node.name: each for each in self._map.nodes}
        self._reads_chunks = genapi.ChunkAdapterGeneric(self._map)

    def close(self) -> None:
        """Free the camera's registers; else the package keeps the description for ever, 0.4 MB at each connection."""
        self._reads_chunks.detach_node_map()
        self._map.disconnect()

    def names(self) -> Collection[str]:
        """See Nodes."""
        return self._nodes.keys()

    def features(self) -> Collection[str]:
        """See Nodes."""
        return [name for name, node in self._nodes.items() if node.node.is_feature()]

    def kind(self, name: str) -> str:
        """See Nodes."""
        return KINDS.get(self._nodes[name].node.principal_interface_type, "")

    def entries(self, name: str) -> list[str]:
        """See Nodes."""
        with _as_os_errors():
            return list(self._nodes[name].symbolics) if self.kind(name) == "Enumeration" else []

    def set(self, name: str, value: str) -> None:
        """See Nodes."""
        if not self.kind(name):
            raise OSError("it holds no value")
        with _as_os_errors():
            self._nodes[name].from_string(value)

    def get(self, name: str) -> int | float | str:
        """Ask for a feature's value. Raises OSError where the camera does not tell it, or has none such."""
        node, kind = self._node(name), self.kind(name)
        with _as_os_errors():
            if kind in ("Integer", "Float"):  # as text they may be hexadecimal
                return int(node.value) if kind == "Integer" else float(node.value)
            return str(node.value).lower() if kind == "Boolean" else str(node.to_string())

    def execute(self, name: str) -> None:
        """Let the camera carry out a command. Raises OSError where it does not, or has none such."""
        with _as_os_errors():
            self._node(name).execute()

    def chunks(self, buffer: bytes, chunks: Iterable[Chunk], names: Iterable[str]) -> dict[str, int | float | str]:
        """Read the values of those of `names` that `buffer` holds in its `chunks`."""
        found = []
        for number, offset, length in chunks:
            each = genapi.SingleChunkData()
            each.chunk_id, each.chunk_offset, each.chunk_length = number, offset, length
            found.append(each)
        with _as_os_errors():
            self._reads_chunks.attach_buffer(buffer, found)
            try:
                readable = (genapi.EAccessMode.RO, genapi.EAccessMode.RW)
                there = [name for name in names if name in self._nodes]
                return {name: self.get(name) for name in there if self._nodes[name].node.get_access_mode() in readable}
            finally:
                self._reads_chunks.detach_buffer()

    def is_there(self) -> bool:
        """Ask whether the camera answers and is ours, which takes a moment."""
        return self._port.is_there()

    def _node(self, name: str) -> genapi.IValue:
        """Give a node. Raises OSError where the camera has none such."""
        if name not in self._nodes:
            raise OSError(f"it has no feature `{name}`")
        return self._nodes[name]


def _unpacked(archive: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return opened.read(opened.namelist()[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, NotImplementedError, RuntimeError) as error:
        raise OSError(f"its description cannot be unpacked ({one_line(error)})") from error


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Carry the reader's errors over to OSError, without the places in its own code."""
    try:
        yield
    except genapi.GenericException as error:
        raise OSError(one_line(error).split(" : ")[0].rstrip(". ")) from error
