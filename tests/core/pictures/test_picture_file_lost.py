"""What a lost sector leaves, and what holds more than it shows: told wherever the format has anything to tell it by."""

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from core.pictures import ffmpeg
from core.pictures.picture_file import decode
from core.pictures.picture_header import PictureFault
from tests.core.pictures.test_picture_file import casting

SECTOR = 512
CASTING = Image.fromarray(casting()[:, :, ::-1])
GREY = CASTING.convert("L")
DEEP = Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)
TIFFS = [
    ("tiff_adobe_deflate", CASTING),
    ("tiff_adobe_deflate", DEEP),
    ("tiff_lzw", CASTING),
    ("tiff_lzw", CASTING.convert("RGBA")),
    ("tiff_lzw", DEEP),
    ("packbits", GREY),
    ("jpeg", CASTING),
    ("jpeg", GREY),
    ("group4", GREY.convert("1")),
]


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def sectors(data: bytes) -> range:
    """Where sectors begin that hold nothing but the picture's data."""
    return range(2 * SECTOR, len(data) - 8 * SECTOR, SECTOR)


def told(data: bytes, begins: range) -> list[bool]:
    """Say, of each sector, whether the picture without it is refused."""
    refused = []
    for at in begins:
        holed = data[:at] + bytes(SECTOR) + data[at + SECTOR :]
        try:
            decode(holed)
        except PictureFault as fault:
            assert "not a whole picture" in str(fault)  # noqa: PT017
            refused.append(True)
        else:
            refused.append(False)
    return refused


@pytest.mark.parametrize(("packed", "picture"), TIFFS)
def test_a_packed_tiff_without_a_sector_is_refused(packed: str, picture: Image.Image) -> None:
    data = saved(picture, "TIFF", compression=packed)
    assert decode(data).shape[:2] == (260, 340)
    assert all(told(data, sectors(data)[:: max(1, len(sectors(data)) // 12)]))


@pytest.mark.parametrize("packed", [5, 8, 32773])
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_packed_tiff_is_read_as_opencv_reads_it(packed: int, predictor: int, dtype: type, channels: int) -> None:
    pixels: np.ndarray = np.dstack([casting(), casting()[:, :, 0]])[:, :, :channels].astype(dtype)
    pixels[:90] = 0  # its checksums tell a black area from a hole
    pixels[:, :, 3:] = np.iinfo(dtype).max
    options = [cv2.IMWRITE_TIFF_COMPRESSION, packed, cv2.IMWRITE_TIFF_PREDICTOR, predictor]
    data = cv2.imencode(".tif", pixels, options)[1].tobytes()
    assert np.array_equal(decode(data), pixels.squeeze())


@pytest.mark.parametrize("quality", [90, 95])
@pytest.mark.parametrize("options", [{"optimize": True}, {"progressive": True}, {}], ids=str)
@pytest.mark.parametrize("picture", [CASTING, GREY], ids=["colour", "grey"])
def test_a_jpeg_without_a_sector_is_refused(picture: Image.Image, options: dict[str, bool], quality: int) -> None:
    data = saved(picture, "JPEG", quality=quality, subsampling=2, **options)
    assert decode(data).shape[:2] == (260, 340)
    assert all(told(data, sectors(data)[::6]))


@pytest.mark.parametrize("options", [{"optimize": True}, {"progressive": True}, {}], ids=str)
@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_jpeg_that_is_flat_is_whole_though_much_of_it_is_zeros(options: dict[str, bool], level: int) -> None:
    flat = np.full((1600, 1600), level, np.uint8)
    cv2.circle(flat, (800, 800), 99, 180, -1)
    data = saved(Image.fromarray(flat), "JPEG", **options)
    assert bytes(256) in data or not options
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert expected is not None
    assert np.array_equal(decode(data), expected)


@pytest.mark.parametrize("options", [{"quality": 80}, {"lossless": True}], ids=str)
def test_a_webp_without_a_sector_is_refused_and_a_flat_one_is_whole(options: dict[str, Any]) -> None:
    data = saved(CASTING, "WEBP", **options)
    assert all(told(data, sectors(data)[::4]))
    flat = np.zeros((1600, 1600, 3), np.uint8)
    cv2.circle(flat, (800, 800), 99, (180, 180, 180), -1)
    assert decode(saved(Image.fromarray(flat), "WEBP", **options)).shape == flat.shape


@pytest.mark.parametrize("form", ["TIFF", "PNG", "WEBP"])
def test_a_file_of_several_pictures_is_refused_for_one_alone_would_be_judged(form: str) -> None:
    two = saved(CASTING, form, save_all=True, append_images=[CASTING.rotate(180)])
    with pytest.raises(PictureFault, match="several pictures, of which one would be seen"):
        decode(two)
    assert decode(saved(CASTING, form, save_all=True)).shape == (260, 340, 3)


def test_a_tiff_may_have_a_thumbnail_behind_its_picture() -> None:
    data = saved(CASTING, "TIFF", save_all=True, append_images=[CASTING.resize((34, 26))])
    with pytest.raises(PictureFault, match="several"):
        decode(data)
    assert decode(_with_thumbnail(data)).shape == (260, 340, 3)


def test_several_pictures_are_seen_behind_a_tag_that_stands_twice() -> None:
    small = CASTING.resize((34, 26))
    two = bytearray(saved(small, "TIFF", save_all=True, append_images=[small.rotate(180)]))
    first = int.from_bytes(two[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(two[first : first + 2], "little")
    two[end - 12 : end] = two[end - 24 : end - 12]
    with pytest.raises(PictureFault, match="several"):
        decode(bytes(two))


def test_segments_and_folders_without_end_are_refused_before_they_are_all_read() -> None:
    whole = saved(CASTING, "JPEG")
    segments = b"\xff\xe0\2\0" + bytes(510) + b"\xff\xe0\0\2" * 9000
    with pytest.raises(PictureFault, match="not a whole picture"):
        decode(whole[:-2] + segments + whole[-2:])
    tiff = saved(CASTING, "TIFF", compression="tiff_lzw")
    first = int.from_bytes(tiff[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(tiff[first : first + 2], "little")
    places = [len(tiff) + number * (2 + 12 * 9000 + 4) for number in range(9)]
    smaller = b"\xfe\0\4\0\1\0\0\0\1\0\0\0"
    folders = [
        (9000).to_bytes(2, "little") + smaller * 9000 + (following or 0).to_bytes(4, "little")
        for following in [*places[1:], None]
    ]
    endless = tiff[:end] + places[0].to_bytes(4, "little") + tiff[end + 4 :] + b"".join(folders)
    with pytest.raises(PictureFault, match="not a whole picture"):
        decode(endless)


def test_a_tiff_too_large_to_be_looked_through_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tiff = saved(CASTING.resize((1000, 1000)), "TIFF", compression="tiff_lzw")
    with monkeypatch.context() as patch:
        patch.setattr(ffmpeg, "MOST_BYTES", 2**21)
        with pytest.raises(PictureFault, match="too large"):
            decode(tiff)
    assert decode(tiff).shape == (1000, 1000, 3)


def _with_thumbnail(two: bytes) -> bytes:
    """Give the file with its second folder's first tag made into NewSubfileType, of a smaller picture."""
    first = int.from_bytes(two[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(two[first : first + 2], "little")
    second = int.from_bytes(two[end : end + 4], "little")
    entry = b"\xfe\0\4\0\1\0\0\0\1\0\0\0"
    return two[: second + 2] + entry + two[second + 14 :]


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {}), ("WEBP", {"lossless": True})])
def test_a_picture_that_is_transparent_in_places_is_refused_and_an_opaque_one_is_read(
    form: str, options: dict[str, bool]
) -> None:
    seen_through = CASTING.convert("RGBA")
    opaque = decode(saved(seen_through, form, **options))
    assert np.abs(opaque[:, :, :3] - casting().astype(float)).mean() < 9
    seen_through.putpixel((30, 40), (90, 80, 70, 0))
    with pytest.raises(PictureFault, match="transparent in places"):
        decode(saved(seen_through, form, **options))


@pytest.mark.parametrize("header", [40, 52])
def test_the_byte_that_nobody_uses_in_a_bmp_of_32_bits_is_no_transparency(header: int) -> None:
    height, width, _ = casting().shape
    pixels = np.dstack([casting(), np.zeros((height, width), np.uint8)])[::-1].tobytes()
    # 3: three masks say which bits are of which colour; a header of 40 bytes does not count them.
    fields = struct.pack("<iiHHIIiiII", width, height, 1, 32, 3, len(pixels), 0, 0, 0, 0)
    masks = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
    bmp = b"BM" + struct.pack("<IHHII", 66 + len(pixels), 0, 0, 66, header) + fields + masks + pixels
    assert np.array_equal(decode(bmp)[:, :, :3], casting())


def test_16_bits_that_are_transparent_in_places_are_refused_too() -> None:
    deep = np.full((20, 30, 4), 65535, np.uint16)
    assert decode(cv2.imencode(".png", deep)[1].tobytes()).dtype == np.uint16
    deep[3, 4, 3] = 65534
    for suffix in (".png", ".tif"):
        with pytest.raises(PictureFault, match="transparent in places"):
            decode(cv2.imencode(suffix, deep)[1].tobytes())


@pytest.mark.parametrize(("mode", "levels"), [("1", (0, 255)), ("L", (0, 90)), ("I;16", (0, 9000))])
def test_grey_of_which_one_level_is_transparent_is_refused_where_that_is_there(
    mode: str, levels: tuple[int, int]
) -> None:
    grey = Image.new(mode, (30, 20), levels[1])
    opaque = saved(grey, "PNG", transparency=levels[0])
    assert (decode(opaque) == levels[1]).all()
    grey.putpixel((4, 3), levels[0])
    with pytest.raises(PictureFault, match="transparent in places"):
        decode(saved(grey, "PNG", transparency=levels[0]))


@pytest.mark.parametrize("packed", [6, 34712, 34925, 34933, 34934, 50000, 50001])
def test_a_tiff_packed_in_a_way_that_is_not_read_is_refused_and_not_black(packed: int) -> None:
    data = bytearray(saved(GREY, "TIFF", compression="tiff_lzw"))
    place = data.index(struct.pack("<HHI", 259, 3, 1)) + 8
    data[place : place + 2] = struct.pack("<H", packed)
    with pytest.raises(PictureFault, match=f"packed in a way that is not read .{packed}."):
        decode(bytes(data))


def test_a_tiff_of_grey_and_transparency_is_refused_for_nobody_sees_the_second() -> None:
    with pytest.raises(PictureFault, match="two channels"):
        decode(saved(CASTING.convert("LA"), "TIFF"))


def test_nothing_but_what_we_say_of_a_file_is_told(tmp_path: Path) -> None:
    """OpenCV tells of a fourth channel that is not explained, and others would take it for a fault."""
    cv2.imwrite(str(tmp_path / "a.tif"), np.full((9, 9, 4), 255, np.uint8))
    read = "from pathlib import Path; from core.pictures.picture import read_picture as r"
    program = f"{read}; r(Path({str(tmp_path)!r}, 'a.tif'))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (told.stdout, told.stderr) == ("", "")
