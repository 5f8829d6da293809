"""TIFF files: what their folders say, and whether the data behind them is whole.

libtiff fills what it cannot decode, and OpenCV does not ask. What the compression has against damage is held against
it here: zlib's checksums, JPEG's strict decoder, and for LZW, PackBits and fax codes that FFMPEG finds no fault.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from core.pictures.ffmpeg import bound_memory
from core.pictures.jpeg_holes import MOST_SCANS, SCAN

ALL_OF_ONE = frozenset({254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320})
"""The tags by which FFMPEG decodes; it refuses some that others use, when it is to refuse what is damaged."""
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION = 254, 256, 257, 258, 259
PLACES, CHANNELS, LENGTHS, LAYOUT = 273, 277, 279, 284
TILES, TILE_LENGTHS, JPEG_TABLES = 324, 325, 347
LZW, JPEG, PACKBITS = 5, 7, 32773
FAX = (2, 3, 4)
DEFLATE = (8, 32946)
READ = frozenset({1, LZW, JPEG, PACKBITS, *FAX, *DEFLATE})
"""Compressions, 1 for none: of some others OpenCV gives a black picture without a word."""
SMALLER_OR_MASK = 1 | 4
"""Of SUBFILE: what goes with a picture and is none of its own."""
MOST_ENTRIES = 2**16
"""Of all folders: more is written only to slow down who reads it."""
AT_ONCE = 2**12
"""Bytes that are inflated at once, to a thousand times as many at most."""
MOST_TIMES, SMALL = 4, 2**24
"""All data of a file may come to so many times what its picture takes, since tiles reach beyond it, and to so many
bytes (pixels, of JPEG) more: a file of 500 bytes can claim 4 GB, or hours."""
TOO_MUCH = "it claims more data than its picture has"
SIZES = {1: 1, 2: 1, 3: 2, 4: 4}


class Damaged(ValueError):  # noqa: N818
    """Says what is wrong with the data."""


class SeveralPictures(ValueError):  # noqa: N818
    """The file holds more than one."""


class _Entry(NamedTuple):
    kind: int
    number: int
    at: int
    """Where its values stand in the file."""
    place: int
    """Where the entry itself stands."""


def numbers(data: bytes) -> dict[int, int]:
    """Give the first whole number of each tag of a TIFF's first folder. Raises struct.error where it is none."""
    folder = _folder(data, _first(data))
    return {tag: _values(data, entry)[0] for tag, entry in folder.items() if entry.kind in (1, 3, 4) and entry.number}


def require_whole(data: bytes) -> bool:
    """Say whether the compression has checksums by which all of the picture is known to be whole.

    Raises Damaged where data is missing or spoilt, SeveralPictures, or struct.error where the file is no TIFF.
    """
    entries = _folder(data, _first(data))
    _require_single(data)
    tags = {tag: _values(data, entry) for tag, entry in entries.items() if entry.kind in (1, 3, 4)}
    places: tuple[int, ...] = tags.get(PLACES) or tags.get(TILES) or ()
    lengths: tuple[int, ...] = tags.get(LENGTHS) or tags.get(TILE_LENGTHS) or ()
    packed = tags.get(COMPRESSION, [1])[0]
    if any(place + length > len(data) for place, length in zip(places, lengths, strict=False)):
        raise Damaged("it ends before its data does")
    if sum(lengths) > MOST_TIMES * len(data) + SMALL:  # pieces may lie over each other, and hold next to nothing
        raise Damaged(TOO_MUCH)
    view = memoryview(data)
    pieces = (view[place : place + length] for place, length in zip(places, lengths, strict=False))
    pixels = tags.get(WIDTH, [0])[0] * tags.get(HEIGHT, [0])[0]
    if packed in DEFLATE:
        pixel_bits = max(tags.get(BITS, [1])) * tags.get(CHANNELS, [1])[0]
        _require_inflates(pieces, MOST_TIMES * pixels * pixel_bits // 8 + SMALL)
    elif packed == JPEG:
        tables = entries.get(JPEG_TABLES)
        tables_data = data[tables.at : tables.at + tables.number] if tables else b""
        _require_strict_jpegs(pieces, tables_data, MOST_TIMES * pixels + SMALL)
    elif packed in (LZW, PACKBITS, *FAX) and TILES not in tags and _is_known_to_ffmpeg(tags):
        _require_ffmpeg_takes(data, entries)
    return packed in DEFLATE and bool(pieces)


def _order(data: bytes) -> str:
    return ">" if data[:2] == b"MM" else "<"


def _first(data: bytes) -> int:
    return int(struct.unpack_from(_order(data) + "I", data, 4)[0])


def _folder(data: bytes, at: int) -> dict[int, _Entry]:
    order = _order(data)
    (count,) = struct.unpack_from(order + "H", data, at)
    found = {}
    for place in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number, value = struct.unpack_from(order + "HHII", data, place)
        is_here = SIZES.get(kind, 8) * number <= 4
        found[tag] = _Entry(kind, number, place + 8 if is_here else value, place)
    return found


def _values(data: bytes, entry: _Entry) -> tuple[int, ...]:
    if entry.number * SIZES[entry.kind] > len(data):
        raise struct.error("more values than the file can hold")
    return struct.unpack_from(f"{_order(data)}{entry.number}{ {1: 'B', 3: 'H', 4: 'I'}[entry.kind] }", data, entry.at)


def _require_single(data: bytes) -> None:
    for folder in list(_folders(data))[1:]:
        kind = folder.get(SUBFILE)
        if kind is None or kind.kind not in (3, 4) or not _values(data, kind)[0] & SMALLER_OR_MASK:
            raise SeveralPictures


def _folders(data: bytes) -> Iterator[dict[int, _Entry]]:
    """Give the folders in turn. What is no place of a folder ends them: readers of the first take no offence."""
    order, at = _order(data), _first(data)
    seen: set[int] = set()
    entries = 0
    while 8 <= at < len(data) and at not in seen:
        seen.add(at)
        try:
            (count,) = struct.unpack_from(order + "H", data, at)
            (following,) = struct.unpack_from(order + "I", data, at + 2 + 12 * count)
        except struct.error:
            return
        if (entries := entries + 1 + count) > MOST_ENTRIES:
            raise struct.error("folders without end")
        yield _folder(data, at)
        at = following


def _require_inflates(pieces: Iterable[memoryview], most_bytes: int) -> None:
    come = 0
    for piece in pieces:
        inflater = zlib.decompressobj()
        try:
            for at in range(0, len(piece), AT_ONCE):
                come += len(inflater.decompress(piece[at : at + AT_ONCE]))
                if come > most_bytes:
                    raise Damaged(TOO_MUCH)
                if inflater.eof:  # zlib would keep what follows, and copy all of it at each turn
                    break
        except zlib.error as error:
            raise Damaged("a checksum differs") from error
        if not inflater.eof:
            raise Damaged("a checksum is missing")


def _require_strict_jpegs(pieces: Iterable[memoryview], tables: bytes, most_pixels: int) -> None:
    import simplejpeg

    claimed = 0
    for piece in pieces:
        jpeg = tables[:-2] + piece[2:] if tables else bytes(piece)
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
            claimed += height * width
            if claimed > most_pixels or jpeg.count(SCAN) > MOST_SCANS:
                raise Damaged(TOO_MUCH)
            simplejpeg.decode_jpeg(jpeg, "GRAY")
        except Damaged:
            raise
        except ValueError as error:
            raise Damaged(f"JPEG: {str(error).rstrip('.').lower()}") from error


def _is_known_to_ffmpeg(tags: dict[int, tuple[int, ...]]) -> bool:
    """Say whether its decoder has pixels of this kind: of others it says that they are damaged."""
    bits, channels = tags.get(BITS, (1,)), tags.get(CHANNELS, (1,))[0]
    one_bit = bits == (1,) and channels == 1
    return one_bit or (set(bits) in ({8}, {16}) and channels in (1, 3, 4) and tags.get(LAYOUT, (1,))[0] == 1)


def _require_ffmpeg_takes(data: bytes, entries: dict[int, _Entry]) -> None:
    import av
    from av.codec.context import CodecContext
    from av.packet import Packet

    bound_memory()
    order = _order(data)
    kept = sorted(tag for tag in entries if tag in ALL_OF_ONE)
    folder = b"".join(data[entries[tag].place : entries[tag].place + 12] for tag in kept)
    end = len(data) + len(data) % 2
    head = data[:4] + struct.pack(order + "I", end) + data[8:]
    slim = head.ljust(end, b"\0") + struct.pack(order + "H", len(kept)) + folder + bytes(4)
    decoder = CodecContext.create("tiff", "r")
    decoder.options = {"err_detect": "explode"}
    try:
        decoder.decode(Packet(slim))
    except av.InvalidDataError as error:
        raise Damaged("its data cannot be decoded to the end") from error
    except MemoryError as error:
        raise Damaged("too large to be checked; save it as PNG, or cut it into several pictures") from error
    except (av.FFmpegError, NotImplementedError):
        return  # it cannot say
