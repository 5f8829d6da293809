"""Sparkplug's part of the configuration."""

from collections.abc import Collection, Mapping

from core.config import Name, Settings
from runtime.sparkplug.node import EdgeNode


class SparkplugSettings(Settings):
    """The station as a Sparkplug B edge node, its cameras as devices, on the same broker by a connection of its own."""

    group: Name
    """The Sparkplug group, often the plant or line. No two stations of a group have one name."""

    def node(self, station: str, prefix: str, cameras: Mapping[str, Collection[str]]) -> EdgeNode:
        """Give the node of `station`, whose own topics stand below `prefix`; `cameras` names the streams of each."""
        return EdgeNode(self.group, station, prefix, cameras)
