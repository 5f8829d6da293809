"""The bundle: the only thing that passes from training to the edge. Its definition is owned here, by its consumer.

A folder with `model.onnx`, `bundle.json` and, where engines were built, `engines/*.plan`. `bundle.json` names the
sha256 of every other file; nothing is loaded whose hash differs. A site that holds a key may sign bundles; then
`bundle.sig` stands beside.
"""

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from errno import EACCES
from pathlib import Path

from pydantic import ValidationError

from core.errors import ArtifactError, one_line
from core.files import lies_in, sha256_of, write_whole
from core.mistaken import no_bundle
from core.pictures.geometry import ModelInput
from runtime.bundles.manifest import MANIFEST, MODEL, SIGNATURE, Manifest, Record
from runtime.bundles.signature import require_signature

LARGEST_MANIFEST = 2**26
"""Bytes; a bundle of ours has some 100 kB."""
OTHER_VERSION = "export it again with the version that is installed here, or install here the one that exported it"
OUTSIDE = re.compile(rb"\n(\x08|\x88\x00)location[\x12\n]")
"""In ONNX: a tensor whose numbers lie in another file."""


class Bundle(Record):
    """A bundle on disk whose hashes were checked."""

    path: Path
    manifest: Manifest

    @property
    def model(self) -> Path:
        """The ONNX graph."""
        return self.path / MODEL

    @property
    def is_signed(self) -> bool:
        """Whether a signature lies in it; whose, `load_bundle` says with a public key."""
        return (self.path / SIGNATURE).is_file()

    def read(self, name: str) -> bytes:
        """Read one of its files, as it was when it was hashed. Raises ArtifactError."""
        file = self.path / name
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ArtifactError(f"{file}: cannot be read ({error.strerror}); copy the bundle again.") from error
        if hashlib.sha256(content).hexdigest() != self.manifest.files[name]:
            raise ArtifactError(f"{file} was altered after it was checked; copy the bundle again.")
        return content

    def read_model(self) -> bytes:
        """Read the graph, and see that it is all there. Raises ArtifactError."""
        content = self.read(MODEL)
        if OUTSIDE.search(content):
            raise ArtifactError(f"{self.model} keeps numbers in another file, which nobody checks; export it again.")
        return content


def load_bundle(path: Path, public_key: Path | None = None, refused_too: bool = False) -> Bundle:
    """Read a bundle and check every hash, and with a `public_key` (PEM) the site's signature.

    One that the export refused is for looking at, with `refused_too`. Raises ArtifactError where it is missing,
    incomplete, altered, refused, of another format, or not signed with that key; ConfigError where the key itself
    cannot be used.
    """
    content = _read(path)
    if public_key is not None:
        require_signature(path / SIGNATURE, content, public_key)
    manifest = _parse(content, path)
    if manifest.refused and not refused_too:
        raise ArtifactError(f"{path}: its export was refused: {manifest.refused} Export it again.")
    for name, expected in manifest.files.items():
        file = path / name
        try:
            if not lies_in(file, path):
                raise ArtifactError(f"{path}: {MANIFEST} names {name}, which lies outside the bundle; do not use it.")
            if not file.is_file():
                raise ArtifactError(f"{path}: {name} is missing; copy the whole bundle again.")
            found = sha256_of(file)
        except OSError as error:
            raise ArtifactError(f"{path}: {name} cannot be read ({error.strerror}); check its permissions.") from error
        if found != expected:
            raise ArtifactError(f"{path}: {name} is damaged or was altered (sha256 differs); copy the bundle again.")
    return Bundle(path=path, manifest=manifest)


def read_manifest(path: Path) -> Manifest:
    """Read what the bundle folder `path` says of itself; its files are not looked at. Raises ArtifactError."""
    return _parse(_read(path), path)


def inputs_of(bundles: Iterable[Path]) -> list[ModelInput]:
    """Say what the models of these folders see of a picture; of one that cannot be read whoever loads it tells."""
    found = []
    for path in bundles:
        with suppress(ArtifactError):
            found.append(read_manifest(path).input)
    return found


def save_manifest(path: Path, manifest: Manifest) -> None:
    """Write `bundle.json` into the bundle folder `path`, last and in one step, so that no half bundle looks whole."""
    write_whole(path / MANIFEST, (manifest.sealed().model_dump_json(indent=2) + "\n").encode())


def _read(path: Path) -> bytes:
    try:
        if (path / MANIFEST).exists() and not (path / MANIFEST).is_file():
            raise ArtifactError(f"{path}: its {MANIFEST} is no file; give a folder that `export-engine` wrote.")
        with (path / MANIFEST).open("rb") as file:
            content = file.read(LARGEST_MANIFEST + 1)
    except OSError as error:
        if what := no_bundle(path):
            raise ArtifactError(f"{path}: {what}.") from error
        remedy = "check its permissions" if error.errno == EACCES else "give a folder that `export-engine` wrote"
        raise ArtifactError(f"{path}: no readable {MANIFEST} in it ({error.strerror}); {remedy}.") from error
    if len(content) > LARGEST_MANIFEST:
        raise ArtifactError(f"{path}: {MANIFEST} is larger than {LARGEST_MANIFEST:,} bytes; do not use it.")
    return content


def _parse(content: bytes, path: Path) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:100]
        where = one_line(f"`{place}`: {first['msg']}" if place else first["msg"])
        is_foreign = any(each["type"] == "extra_forbidden" or each["loc"] == ("format",) for each in error.errors())
        remedy = OTHER_VERSION if is_foreign else "copy or export it again"
        raise ArtifactError(f"{path}: {MANIFEST} is damaged or of another version ({where}); {remedy}.") from error
    if manifest != manifest.sealed():
        raise ArtifactError(f"{path}: {MANIFEST} is damaged or was altered (digest differs); copy or export it again.")
    named = {MODEL, *(engine.file for engine in manifest.engines)}
    if len(manifest.thresholds.values) != manifest.grid**2 + 1 or not named <= set(manifest.files):
        raise ArtifactError(f"{path}: {MANIFEST} contradicts itself (thresholds, grid, files); export it again.")
    return manifest
