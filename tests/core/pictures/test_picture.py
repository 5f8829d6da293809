import os
import resource
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.errors import DataError
from core.pictures.picture import fit, list_pictures, read_picture


@pytest.fixture
def photo() -> np.ndarray:
    """A smooth, structured 8-bit BGR picture, so that lossy formats and resizing stay close to it."""
    y, x = np.mgrid[0:60, 0:80]
    return np.stack([x * 3, y * 4, (x + y)], axis=2).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".jpg", ".webp"])
def test_colour_pictures_are_read_as_bgr(tmp_path: Path, photo: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"part{suffix}"
    cv2.imwrite(str(path), photo)
    assert np.abs(read_picture(path).astype(int) - photo).mean() < 4


def test_a_picture_under_another_name_is_read_and_one_of_another_kind_is_listed_and_refused(
    tmp_path: Path, photo: np.ndarray
) -> None:
    for name, kind in {"a.jfif": ".jpg", "b.JPE": ".jpg", "c.dib": ".bmp"}.items():
        (tmp_path / name).write_bytes(cv2.imencode(kind, photo)[1].tobytes())
    others = ["d.gif", "e.jp2", "f.pgm", "f.pnm"]
    for name in others:
        cv2.imwrite(str(tmp_path / name), photo[:, :, 0])
    for name in ("g.heic", "h.exr", "i.psd"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    (tmp_path / "notes.txt").write_text("no picture")
    listed = [path.name for path in list_pictures(tmp_path)]
    assert listed == ["a.jfif", "b.JPE", "c.dib", *others, "g.heic", "h.exr", "i.psd"]
    for name in listed[:3]:
        assert np.abs(read_picture(tmp_path / name).astype(int) - photo).mean() < 4
    for name in listed[3:]:
        with pytest.raises(DataError, match=f"{name}.*unknown format"):
            read_picture(tmp_path / name)


@pytest.mark.parametrize("mark", [b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"])
def test_a_big_tiff_is_refused_by_its_name(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(mark + bytes(100))
    with pytest.raises(DataError, match=r"a\.tif: BigTIFF is not read; save it as TIFF or PNG"):
        read_picture(tmp_path / "a.tif")


def test_grey_alpha_and_16_bit_become_8_bit_bgr(tmp_path: Path, photo: np.ndarray) -> None:
    grey = photo[:, :, 0]
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([photo, np.full_like(grey, 255)]))
    cv2.imwrite(str(tmp_path / "deep.png"), photo.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "deep_grey.tif"), grey.astype(np.uint16) * 257)
    assert np.array_equal(read_picture(tmp_path / "grey.png"), np.dstack([grey] * 3))
    assert np.array_equal(read_picture(tmp_path / "alpha.png"), photo)
    assert np.array_equal(read_picture(tmp_path / "deep.png"), photo)
    assert np.array_equal(read_picture(tmp_path / "deep_grey.tif"), np.dstack([grey] * 3))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_truncated_picture_is_refused_by_name(tmp_path: Path, photo: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    cv2.imwrite(str(path), photo)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=f"cut{suffix}.*not a whole picture"):
        read_picture(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff\xd9"])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a whole picture"):
        read_picture(path)


def test_float_pixels_are_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "depth.tif"
    cv2.imwrite(str(path), np.ones((8, 8), np.float32))
    with pytest.raises(DataError, match="save it with 8 or 16 bits"):
        read_picture(path)


def test_folders_without_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no such folder;"):
        list_pictures(tmp_path / "absent")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"^absent: no such folder below {tmp_path}; give a folder of pictures"):
        list_pictures(Path("absent"))
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="no pictures in it"):
        list_pictures(tmp_path)
    with pytest.raises(DataError, match="is a file; give a folder of pictures"):
        list_pictures(tmp_path / "notes.txt")


def test_fit_averages_areas(photo: np.ndarray) -> None:
    out = np.empty((30, 40, 3), np.uint8)
    fit(photo, out)
    expected = photo.reshape(30, 2, 40, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(out - expected).max() <= 0.5


@pytest.mark.parametrize("size", [(30, 40), (23, 31), (60, 80), (70, 90)])
@pytest.mark.parametrize("roi", [None, (5, 7, 70, 50)])
def test_fit_gives_of_one_channel_what_it_gives_of_three_alike(
    photo: np.ndarray, size: tuple[int, int], roi: tuple[int, int, int, int] | None
) -> None:
    grey = np.ascontiguousarray(photo[:, :, 2])
    out, repeated = np.empty((*size, 3), np.uint8), np.empty((*size, 3), np.uint8)
    fit(grey, out, roi)
    fit(np.dstack([grey] * 3), repeated, roi)
    assert np.array_equal(out, repeated)


def test_fit_crops_the_region_first(photo: np.ndarray) -> None:
    out = np.empty((20, 10, 3), np.uint8)
    fit(photo, out, roi=(5, 7, 10, 20))
    assert np.array_equal(out, photo[7:27, 5:15])


def test_fit_refuses_a_region_outside_the_frame(photo: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"\(left, top, width, height\) does not lie within a frame of 80 x 60"):
        fit(photo, np.empty((4, 4, 3), np.uint8), roi=(75, 0, 10, 10))


def test_a_picture_takes_no_more_memory_than_it_needs_and_one_that_is_too_large_is_refused(
    tmp_path: Path, photo: np.ndarray
) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    cv2.imwrite(str(small), photo)
    large.touch()
    os.truncate(large, 512 * 2**20)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    taken_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken_bytes + 256 * 2**20, limits[1]))
    try:
        assert np.array_equal(read_picture(small), photo)
        with pytest.raises(DataError, match=r"large\.png: larger than the memory that is free"):
            read_picture(large)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
