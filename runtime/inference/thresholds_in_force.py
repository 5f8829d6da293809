"""Thresholds in force: by which each camera's parts are judged now."""

from collections.abc import Mapping

from core.thresholds import Thresholds
from runtime.bundles.manifest import Manifest


class ThresholdsInForce:
    """Of each camera those that were set on site, else the bundle's, times the camera's factor.

    It belongs to the thread that judges; others may ask what `would_be`.
    """

    def __init__(self, manifest: Manifest, site: Mapping[str, Thresholds], factors: Mapping[str, float]) -> None:
        """`site` has those set on site, `factors` a factor for each camera."""
        self._bundles = manifest.thresholds
        self._factors = factors
        self._by_camera = {camera: self.would_be(camera, site.get(camera)) for camera in factors}

    def __getitem__(self, camera: str) -> Thresholds:
        """Give those by which the parts of `camera` are judged."""
        return self._by_camera[camera]

    def would_be(self, camera: str, site: Thresholds | None) -> Thresholds:
        """Give what would be in force with the thresholds `site`; None: with the bundle's."""
        return (site or self._bundles).scaled(self._factors[camera])

    def put(self, camera: str, thresholds: Thresholds) -> None:
        """Judge the parts of `camera` by `thresholds`, which `would_be` gave, from now on."""
        self._by_camera[camera] = thresholds
