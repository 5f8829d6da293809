"""The summary of a bundle: all that it says of itself, for people."""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from core.datasets.dataset import names
from export.parity import outputs_table, parity_table
from runtime.bundles.bundle import Bundle
from runtime.bundles.manifest import Engine, Manifest
from runtime.inference.cuda.gpu import sm


def print_card(bundle: Bundle, key: Path | None) -> None:
    """Print what was trained on what, how it was proven, which engines there are and which files.

    `key` is that which its signature was checked with.
    """
    manifest, console = bundle.manifest, wide_console()
    console.print(_facts_table(bundle, key))
    if manifest.parity:
        console.print(parity_table(manifest.parity))
        console.print(outputs_table(manifest.parity))
    if manifest.engines:
        console.print(_engines_table(manifest.engines))
    console.print(_files_table(bundle))


def _facts_table(bundle: Bundle, key: Path | None) -> Table:
    manifest = bundle.manifest
    learned, thresholds = manifest.trained_on, manifest.thresholds
    facts = Table(title=f"{manifest.label}, exported {manifest.created}", show_header=False)
    facts.add_row("input", f"{manifest.width} x {manifest.height} pixels, {manifest.grid} x {manifest.grid} tiles")
    if manifest.roi:
        facts.add_row("region of the picture", "{2} x {3} pixels from {0}, {1}".format(*manifest.roi))
    if manifest.bits != 16:
        facts.add_row("files of 16 bits keep", f"{manifest.bits} of them")
    if manifest.part_size:
        turned = "part turned upright by what is on it" if manifest.upright else "part turned straight"
        facts.add_row(turned, "{} x {} pixels of the picture".format(*manifest.part_size))
    if manifest.refused:
        facts.add_row("refused", manifest.refused)
    facts.add_row("precision", manifest.precision)
    facts.add_row("score", manifest.score_unit)
    facts.add_row(
        "good parts rejected",
        f"{thresholds.false_reject_rate:.1%} asked; from {thresholds.parts} good pictures, so below "
        f"{thresholds.false_reject_upper:.1%} with 95 % confidence",
    )
    if thresholds.odd:
        facts.add_row(
            "good pictures left out",
            f"{thresholds.odd}, because they stand apart from the others; if these are good too, "
            f"up to about {thresholds.false_reject_with_odd:.1%} are rejected, below "
            f"{thresholds.false_reject_upper_with_odd:.1%} with 95 % confidence",
        )
    facts.add_row("thresholds", "  ".join(f"{value:.3g}" for value in thresholds.values))
    facts.add_row("trained on", _folders(manifest))
    facts.add_row("trained", learned.at or "-")
    facts.add_row("training data sha256", learned.data_sha256 or "-")
    for package, version in manifest.provenance.get("versions", {}).items():
        facts.add_row(package, str(version))
    unchecked = "there, not checked: give --key" if bundle.is_signed else "none"
    facts.add_row("signature", f"by the key of {key}" if key else unchecked)
    return facts


def _folders(manifest: Manifest) -> str:
    learned = manifest.trained_on
    if learned.folders:
        told = [f"{count} of {folder}" for folder, count in learned.folders.items()]
        return f"{learned.pictures} good pictures: {', '.join(told)}"
    folders = ", ".join(names(manifest.provenance.get("settings", {}).get("data", "-")))
    return folders if learned.pictures is None else f"{learned.pictures} good pictures of {folders}"


def wide_console() -> Console:
    """Standard output, at least as wide as the tables where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 120)


def _engines_table(engines: tuple[Engine, ...]) -> Table:
    table = Table("for", "built with", "batches", "file", title="engines")
    for engine in engines:
        gpu = sm(engine.compute_capability) + (f", {engine.gpu}" if engine.gpu else "")
        table.add_row(
            f"{gpu}\n{engine.platform}",
            f"{engine.api}\n{engine.version}\nin {engine.build_s:.1f} s",
            "{}, {}, {}".format(*engine.batches),
            engine.file,
        )
    return table


def _files_table(bundle: Bundle) -> Table:
    table = Table("MB", "file and its sha256", title="files")
    for name, digest in bundle.manifest.files.items():
        table.add_row(f"{(bundle.path / name).stat().st_size / 1e6:.2f}", f"{name}\n{digest}")
    return table
