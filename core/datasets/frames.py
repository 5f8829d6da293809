"""Frames: a data set's pictures and masks, read at the model's size."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from core.datasets.dataset import Sample, each_once
from core.errors import ConfigError, DataError, about
from core.files import digest_of, whole
from core.pictures.colour import colour_of
from core.pictures.geometry import ModelInput, aspect_of
from core.pictures.picture import as_bgr_u8, crop, fit, read_as_stored, read_picture, usual_bits
from core.pictures.pose import cut_out, locate
from core.pictures.unlike import Unlikes, unlike
from core.printable import printable
from core.progress import counted


@dataclass(frozen=True)
class Frames:
    """Pictures read and resized: `bgr_u8` (N, H, W, 3), whose they are, and the files skipped."""

    bgr_u8: NDArray[np.uint8]
    samples: tuple[Sample, ...]
    skipped: tuple[Path, ...]
    aspects: tuple[float, ...] = ()
    """See ModelInput: each that there is among those read, once."""
    colours: tuple[str, ...] = ()
    """The same of these."""

    @property
    def names_skipped(self) -> list[str]:
        """The files skipped, as text that can be stored."""
        return [printable(whole(path)) for path in self.skipped]

    def digests(self) -> list[str]:
        """Digest of what lies now in the file of each picture that was read."""
        return [digest_of(sample.path) for sample in self.samples]

    def fingerprint(self) -> str:
        """Digest of the frames and their order: what the network really saw."""
        return hashlib.sha256(np.ascontiguousarray(self.bgr_u8).data).hexdigest()


def read_frames(samples: Sequence[Sample], seen: ModelInput) -> Frames:
    """Read pictures as the model sees them; one that cannot be is named on stderr, skipped and counted.

    Raises DataError where none could be read.
    """
    frames = np.empty((len(samples), seen.height, seen.width, 3), np.uint8)
    kept: list[Sample] = []
    skipped: list[Path] = []
    faults: list[str] = []
    brightest_u16: list[int] = []
    aspects: set[float] = set()
    colours: set[str] = set()
    unlikes = Unlikes()
    for sample in counted(samples, "reading pictures"):
        try:
            stored = read_as_stored(sample.path)
            frame = as_bgr_u8(stored, seen.bits)
            judged, differs = fit_as_seen(frame, frames[len(kept)], sample, seen)
        except DataError as error:
            faults.append(about(sample.path, error))
            sys.stderr.write(f"skipped: {faults[-1]}\n")
            skipped.append(sample.path)
        else:
            frame = frames[len(kept)]
            kept.append(sample)
            brightest_u16 += [int(stored.max())] if stored.dtype == np.uint16 else []
            aspects.add(aspect_of(judged.shape[1], judged.shape[0]))
            colours.add(colour_of(frame))
            unlikes.add(sample.path, differs)
    if brightest_u16 and (usual := usual_bits(max(brightest_u16))) < seen.bits:
        sys.stderr.write(
            f"warning: the brightest of {len(brightest_u16)} 16-bit pictures is {max(brightest_u16)} of "
            f"{2**seen.bits - 1}, so few grey levels are left of them: the camera seems to give fewer bits; train with "
            f"`network.bits: {usual}`, which goes with the bundle to the line.\n"
        )
    if not kept:
        raise DataError(f"none of {len(samples)} pictures can be read; the first: {faults[0]}")
    sys.stderr.write(unlikes.told())
    clear = tuple(sorted(colours - {""}))
    return Frames(frames[: len(kept)], tuple(kept), tuple(skipped), tuple(sorted(aspects)), clear)


def fit_as_seen(
    frame: NDArray[np.uint8], out: NDArray[np.uint8], sample: Sample, seen: ModelInput
) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Fit a sample's picture (H, W, 3) into `out` (h, w, 3) as the model sees it; one that is cut is not cut again.

    Gives what is judged, at its own size, and how it differs from all that trained, see `unlike`. Raises DataError
    where it cannot be cut, ConfigError where another model cut it.
    """
    if sample.is_cut:
        _require_same_cut(frame, seen, sample.path)
        seen = seen.without_cut
    judged = fit(frame, out, seen.roi, seen.pose)
    return judged, unlike(seen, judged, out)


def distinct(frames: Frames) -> Frames:
    """Skip what shows to the last bit what another picture shows, told on stderr; a marked one stays, or the first.

    A decoder that trained on the one must not judge the other for the thresholds.
    """
    marks = [hashlib.sha256(frame.data).digest() for frame in frames.bgr_u8]
    samples = each_once(frames.samples, marks)
    if len(samples) == len(marks):
        return frames
    first = {digest: index for index, digest in reversed([*enumerate(marks)])}
    places = {sample.path for sample in samples}
    same = tuple(sample.path for sample in frames.samples if sample.path not in places)
    sys.stderr.write(f"skipped: {len(same)} of {len(marks)} pictures show what another one shows, such as {same[0]}\n")
    kept = frames.bgr_u8[sorted(first.values())]
    return replace(frames, bgr_u8=kept, samples=tuple(samples), skipped=frames.skipped + same)


class Mask(NamedTuple):
    """What is defective of a picture."""

    marked: NDArray[np.bool_]
    """(height, width) of the network's input."""
    cut_away: float = 0.0
    """Which share of it, 0 to 1, is outside of what is cut out of the picture."""


def read_mask(sample: Sample, seen: ModelInput) -> Mask:
    """Read a sample's defect mask as `read_frames` sees its picture; nothing is marked on a good part.

    A place is marked where anything in its area is, so that a thin scratch does not vanish when it is made smaller.
    Raises DataError where mask or picture cannot be read, or do not belong together.
    """
    if sample.mask is None:
        return Mask(np.zeros((seen.height, seen.width), bool))
    seen = seen.without_cut if sample.is_cut else seen
    drawn, picture = _drawn(sample.mask), read_picture(sample.path, seen.bits)
    _require_alike(drawn, picture, sample.mask, seen.cut_size is not None)
    mask = crop(drawn, seen.roi)
    if seen.pose is not None:
        mask = cut_out(mask, locate(crop(picture, seen.roi), seen.pose), seen.pose.size)
    smaller = seen.height < mask.shape[0] or seen.width < mask.shape[1]
    # In float: an area's mean of a few marked pixels would round to 0.
    marked = cv2.resize(
        mask.astype(np.float32),
        (seen.width, seen.height),
        interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST,
    )
    whole = drawn.sum(dtype=np.float64) if seen.cut_size else 0.0
    return Mask(np.asarray(marked > 0), 1 - float(mask.sum(dtype=np.float64) / whole) if whole else 0.0)


def _drawn(path: Path) -> NDArray[np.uint8]:
    """Read what is drawn in a mask (H, W), 255 or 0: in any colour, in black and white, or as the defect's number."""
    stored = read_as_stored(path)
    drawn = stored if stored.ndim == 2 else stored[:, :, :3].max(axis=2)  # without alpha, which is opaque
    brightest = int(drawn.max())
    return np.where(drawn > (brightest // 2 if brightest > 127 else 0), 255, 0).astype(np.uint8)


def _require_alike(mask: NDArray[np.uint8], picture: NDArray[np.uint8], path: Path, is_cut: bool) -> None:
    """Refuse a mask of another shape than its picture's, or of another size where something `is_cut` out of both.

    Raises DataError.
    """
    (high, wide), (height, width) = mask.shape, picture.shape[:2]
    # A smaller one may have been rounded to whole pixels.
    is_alike = abs(wide * height - width * high) <= max(width, height)
    if not (mask.shape == picture.shape[:2] if is_cut else is_alike):
        raise DataError(
            f"{path}: is {wide} x {high} pixels, and its picture {width} x {height}; draw it at the picture's own size."
        )


def _require_same_cut(frame: NDArray[np.uint8], seen: ModelInput, path: Path) -> None:
    """Refuse a picture that another model cut than the one that is to see it, beside which it would show another thing.

    Not skipped: all that this model judged are alike. Raises ConfigError.
    """
    here, wanted = (frame.shape[1], frame.shape[0]), seen.cut_size
    if here != wanted:
        asked = f"those of {wanted[0]} x {wanted[1]}" if wanted else "whole pictures"
        raise ConfigError(
            f"{path}: is a cut-out of {here[0]} x {here[1]} pixels by the model that judged it, and {asked} are asked "
            "for here: use that model's `network.roi` and `network.part_size`, or leave this folder out."
        )
