"""Picture files: what is damaged, or claims to be huge, is refused in one line; what is whole comes as it was saved."""

import contextlib
import io
import struct
import time
import zlib
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from core.errors import DataError
from core.pictures.picture import find_pictures, read_picture
from core.pictures.picture_file import decode
from core.pictures.picture_header import PictureFault

JPEG = {
    "baseline": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90]),
    "progressive": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "restarts": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_RST_INTERVAL, 4]),
}
FORMATS = JPEG | {
    "png": (".png", []),
    "bmp": (".bmp", []),
    "webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]),
    "lossless webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
    "tiff": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 1]),
    "packed tiff": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
    "zipped tiff": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 8]),
}


@cache
def casting() -> np.ndarray:
    """A part with rings, holes and grain; nothing of it is black."""
    y, x = np.mgrid[0:260, 0:340]
    rings = 120 + 60 * np.sin(np.hypot(x - 170, y - 130) / 6)
    grain = np.random.default_rng(4).normal(0, 8, (260, 340, 3))
    return np.clip(rings[..., None] * (1.0, 0.9, 0.8) + grain, 20, 240).astype(np.uint8)


@cache
def encode(kind: str) -> bytes:
    suffix, options = FORMATS[kind]
    return cv2.imencode(suffix, casting(), options)[1].tobytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_whole_is_read_as_opencv_reads_it(kind: str) -> None:
    data = encode(kind)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert expected is not None
    assert np.array_equal(decode(data), expected)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.2, 0.45, 0.7, 0.95])
def test_what_was_cut_is_refused(kind: str, share: float) -> None:
    data = encode(kind)
    with pytest.raises(PictureFault, match="not a whole picture"):
        decode(data[: int(share * len(data))])


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("begin", "end"), [(0.5, 1.0), (0.3, 0.6), (0.1, 0.9)])
def test_a_hole_is_refused(kind: str, begin: float, end: float) -> None:
    data = bytearray(encode(kind))
    hole = slice(int(begin * len(data)), int(end * len(data)))
    data[hole] = bytes(hole.stop - hole.start)
    with pytest.raises(PictureFault, match="not a whole picture"):
        decode(bytes(data))


@pytest.mark.parametrize("kind", JPEG)
def test_a_jpeg_whose_tail_was_lost_is_refused_though_it_has_its_end_mark(kind: str) -> None:
    data = encode(kind)
    for share in np.linspace(0.1, 0.98, 45):
        with pytest.raises(PictureFault, match="damaged JPEG"):
            decode(data[: int(share * len(data))] + b"\xff\xd9")


def test_a_progressive_jpeg_that_ends_between_two_scans_is_refused() -> None:
    data = encode("progressive")
    scans = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 4
    for scan in scans[1:]:
        with pytest.raises(PictureFault, match="scans are missing|damaged JPEG"):
            decode(data[:scan] + b"\xff\xd9")


def test_a_trailer_behind_the_end_of_a_jpeg_is_no_damage() -> None:
    data = encode("baseline")
    assert np.array_equal(decode(data + b"made by a camera"), decode(data))


def test_a_checksum_that_differs_is_refused() -> None:
    data = bytearray(encode("png"))
    data[len(data) // 2] ^= 4
    with pytest.raises(PictureFault, match="checksum"):
        decode(bytes(data))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge_png() -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 90_000, 50_000, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(9_000_000))) + chunk(b"IEND", b"")


def huge_tiff(order: str) -> bytes:
    tags = [(256, 60_000), (257, 60_000), (258, 8), (259, 1), (262, 1), (273, 8), (278, 60_000), (279, 100)]
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IH", 8, len(tags)) + entries + bytes([7] * 400)


HUGE = {
    "x.png": huge_png(),
    "x.tif": huge_tiff("<"),
    "y.tif": huge_tiff(">"),
    "x.bmp": b"BM" + struct.pack("<IIIIiiHHI", 99, 0, 54, 40, 2**30, -(2**30), 1, 8, 1) + bytes([9] * 60),
    "x.webp": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\xff" * 6,
}


@pytest.mark.parametrize("name", HUGE)
def test_a_header_that_claims_all_memory_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(HUGE[name])
    started_s = time.monotonic()
    with pytest.raises(DataError, match=rf"{name}: [\d]+ x [\d]+ pixels are more than the 268,435,456"):
        read_picture(tmp_path / name)
    assert time.monotonic() - started_s < 1


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("channels", "dtype", "most"), [(1, np.uint16, 99), (3, np.uint8, 99), (4, np.uint16, 49)])
def test_of_pixels_that_take_more_memory_fewer_are_allowed(suffix: str, channels: int, dtype: type, most: int) -> None:
    picture: np.ndarray = np.full((9, 11, channels), np.iinfo(dtype).max, dtype)
    data = cv2.imencode(suffix, picture)[1].tobytes()
    assert decode(data, 99 if most == 99 else 198).shape[:2] == (9, 11)
    with pytest.raises(PictureFault, match=rf"11 x 9 pixels( of 8 bytes)? are more than the {min(most, 98)} that"):
        decode(data, 98 if most == 99 else 99)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_comes_upright(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    Image.fromarray(casting()[:61, :44, ::-1]).save(
        file, form, exif=exif, **{"lossless": True} if form == "WEBP" else {}
    )
    expected = np.asarray(ImageOps.exif_transpose(Image.open(file)).convert("RGB"))[:, :, ::-1]
    assert np.array_equal(decode(file.getvalue()), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (70, 1), (2, 3)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif"])
def test_tiny_pictures_are_read(suffix: str, size: tuple[int, int]) -> None:
    data = cv2.imencode(suffix, np.full((*size, 3), 90, np.uint8))[1].tobytes()
    assert decode(data).shape == (*size, 3)


@pytest.mark.parametrize(
    ("mode", "kind", "name"), [("CMYK", "JPEG", "CMYK"), ("CMYK", "TIFF", "CMYK"), ("LAB", "TIFF", "CIELAB")]
)
def test_colours_that_a_profile_has_to_explain_are_refused_in_words(mode: str, kind: str, name: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (20, 20)).save(file, kind)
    with pytest.raises(PictureFault, match=f"{name} colours .* save it in grey or RGB"):
        decode(file.getvalue())


def test_a_format_that_is_not_read_is_told_with_those_that_are() -> None:
    with pytest.raises(PictureFault, match="PNG, JPEG, TIFF, BMP and WebP"):
        decode(b"\0\0\0\x18ftypheic" + bytes(100))


def test_12_bit_jpeg_is_refused_in_words() -> None:
    deep = encode("baseline").replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c")
    with pytest.raises(PictureFault, match="12 bits"):
        decode(deep)


ENCODED = {kind: encode(kind) for kind in FORMATS}


@given(st.sampled_from(sorted(ENCODED)), st.data())
def test_whatever_a_file_holds_it_is_a_picture_or_a_fault(kind: str, data: st.DataObject) -> None:
    content = bytearray(ENCODED[kind])
    at = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 200))
    content[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    with contextlib.suppress(PictureFault):
        assert decode(bytes(content)).ndim in (2, 3)


@given(
    st.sampled_from([b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"RIFF"]), st.binary(max_size=300)
)
def test_no_bytes_behind_a_formats_mark_raise_anything_else(mark: bytes, rest: bytes) -> None:
    with pytest.raises(PictureFault):
        decode(mark + rest)


def test_links_are_followed_once_and_what_others_keep_is_passed_over(tmp_path: Path) -> None:
    names = ["part.png", ".hidden.png", "._part.png", "~part.png", "part.tmp.jpg", "part.PART.png", "notes.txt"]
    folder, elsewhere = tmp_path / "inbox", tmp_path / "elsewhere"
    for place in (folder, folder / "@eaDir" / "part.png", folder / "__MACOSX", folder / ".cache", elsewhere):
        place.mkdir(parents=True)
        for name in names:
            (place / name).touch()
    (folder / "folder.png").mkdir()
    (folder / "linked").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "back").symlink_to(folder, target_is_directory=True)
    assert list(find_pictures(folder)) == [folder / "linked" / "part.png", folder / "part.png"]


@pytest.mark.parametrize(
    "filler", [b"\xff", b"\xff\xe0\0\2", b"\xff\xda\0\6\1\1\0\0\0\0"], ids=["fill", "segments", "scans"]
)
def test_a_jpeg_that_is_written_to_hold_up_its_reader_is_refused_at_once(filler: bytes) -> None:
    frame = b"\xff\xc0\0\x0b\x08\0\x08\0\x08\1\1\x11\0"
    content = b"\xff\xd8" + frame + filler * (2**25 // len(filler))
    started_s = time.process_time()
    with pytest.raises(PictureFault):
        decode(content)
    assert time.process_time() - started_s < 1


def test_a_jpeg_of_scans_that_are_there_again_and_again_is_refused_before_each_is_gone_through() -> None:
    jpeg = cv2.imencode(".jpg", casting(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    decode(jpeg)
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    with pytest.raises(PictureFault, match="more than 100 scans"):
        decode(jpeg[:-2] + 100 * last + jpeg[-2:])
