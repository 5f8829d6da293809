"""Site thresholds: set from a camera's own good parts, kept beside the bundle with who set them and when."""

import hashlib
import hmac
import json
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import ArtifactError, ConfigError, shown
from core.files import read_now, write_whole
from core.secrets import look_up_secret
from core.thresholds import LARGEST_LOOSENING, Thresholds
from core.timestamps import rfc3339
from runtime.bundles.bundle import Bundle

log = logging.getLogger(__name__)
LEAST_SECRET = 32
"""Characters: of hexadecimal digits, 128 bits."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    thresholds: Thresholds
    by: str
    at: str
    """RFC 3339, UTC."""


class _Site(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    model_sha256: str
    """Thresholds belong to the model whose errors they are about."""
    cameras: dict[str, _Entry]
    hmac_sha256: str | None = None
    """Of all of the above, by the station's own secret; None: it has none."""

    def sealed(self, secret: str) -> "_Site":
        content = self.model_dump_json(exclude={"hmac_sha256"}).encode()
        return self.model_copy(update={"hmac_sha256": hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()})


def site_file(bundle: Path) -> Path:
    """Beside the bundle folder: a bundle is never altered."""
    return bundle.resolve().with_name(bundle.resolve().name + ".thresholds.json")


def site_secret(file: Path | None) -> str | None:
    """Read the station's own secret, if it has one. Raises ConfigError where it cannot be read or is short."""
    secret = look_up_secret("thresholds_key", None, file)
    if secret is not None and len(secret) < LEAST_SECRET:
        raise ConfigError(
            f"thresholds_key_file: fewer than {LEAST_SECRET} characters in {file}; "
            "write a long random one into it (openssl rand -hex 32)."
        )
    return secret


class SiteThresholds:
    """Reads and writes the file beside a bundle. For any thread, one at a time.

    What a station sets may loosen what a signed bundle says, so it is held to a seal of its own: an HMAC by a secret
    that the station keeps.
    """

    def __init__(self, factors: Mapping[str, float], secret: str | None = None, is_sealed: bool = False) -> None:
        """`factors` by camera multiply what is set. It is sealed with `secret`; `is_sealed`: not without one."""
        self.factors = factors
        self._secret = secret
        self._is_sealed = is_sealed or secret is not None

    def load(self, bundle: Bundle) -> dict[str, Thresholds]:
        """Read the thresholds by camera; none where there is no file, or it is about another model (told in the log).

        Raises ArtifactError where the file cannot be used, is not sealed, or holds what the bundle's do not bear.
        """
        file, manifest = site_file(bundle.path), bundle.manifest
        site = self._read(file)
        if site is None:
            return {}
        if site.model_sha256 != manifest.model_sha256:
            log.warning("%s is about another model and not used; recalibrate, or remove it", file)
            return {}
        for camera, entry in site.cameras.items():
            self.require_kinship(entry.thresholds, bundle, camera, f"{file}: ")
            if camera not in self.factors:
                log.warning(
                    "%s has thresholds of camera %s, which is not configured: they are not used; give the camera that "
                    "name again, or recalibrate it by its new one",
                    file,
                    shown(camera),
                )
                continue
            log.info(
                "thresholds of camera %s were set on site by=%r at=%s parts=%d",
                camera,
                entry.by,
                entry.at,
                entry.thresholds.parts,
            )
        return {camera: entry.thresholds for camera, entry in site.cameras.items()}

    def store(self, bundle: Bundle, camera: str, thresholds: Thresholds | None, by: str) -> None:
        """Keep one camera's thresholds beside the others'; None: the bundle's hold again.

        Raises ArtifactError where the bundle's do not bear them, or the folder takes no file.
        """
        file, model_sha256 = site_file(bundle.path), bundle.manifest.model_sha256
        self._require_secret(file)
        before = self._read(file)
        known: Mapping[str, _Entry] = before.cameras if before and before.model_sha256 == model_sha256 else {}
        cameras = {name: entry for name, entry in known.items() if name != camera}
        if thresholds is not None:
            self.require_kinship(thresholds, bundle, camera)
            cameras[camera] = _Entry(thresholds=thresholds, by=by, at=rfc3339(time.time()))
        site = _Site(model_sha256=model_sha256, cameras=cameras)
        if self._secret is not None:
            site = site.sealed(self._secret)
        try:
            write_whole(file, (site.model_dump_json(indent=2, exclude_none=True) + "\n").encode(), is_flushed=True)
        except OSError as error:
            raise ArtifactError(
                f"{file}: cannot be written ({error.strerror}); free the disk, or check the folder's permissions."
            ) from error

    def require_kinship(self, thresholds: Thresholds, bundle: Bundle, camera: str, where: str = "") -> None:
        """Refuse thresholds of another grid than the bundle's, or so loose beside them that they would reject nothing.

        Raises ArtifactError, which begins with `where`.
        """
        found, bundles, factor = thresholds.values, bundle.manifest.thresholds.values, self.factors.get(camera, 1.0)
        if len(found) != len(bundles):
            raise ArtifactError(
                f"{where}camera {camera}: {len(found)} thresholds for {len(bundles)} errors; recalibrate."
            )
        loosest = factor * max(value / least for value, least in zip(found, bundles, strict=True))
        if loosest > LARGEST_LOOSENING * (1 + 1e-9):
            raise ArtifactError(
                f"{where}camera {camera}: with its threshold_factor of {factor:g} a threshold is {loosest:.3g} times "
                f"the bundle's, which may be {LARGEST_LOOSENING:g}: these parts look unlike those of the training; "
                "train with pictures of theirs."
            )

    def _read(self, file: Path) -> _Site | None:
        try:
            content = read_now(file).decode()
            site = _Site.model_validate_json(content)
            json.loads(content, object_pairs_hook=partial(_require_single, file))
        except FileNotFoundError as error:
            if file.is_symlink():
                raise ArtifactError(
                    f"{file}: is a link to nothing; put back what it leads to, or remove it: the bundle's hold then."
                ) from error
            return None
        except OSError as error:
            raise ArtifactError(
                f"{file}: cannot be read ({error.strerror}); check its permissions, and that it is a file."
            ) from error
        except (UnicodeDecodeError, ValidationError) as error:
            raise ArtifactError(f"{file}: damaged; recalibrate after removing it.") from error
        self._require_secret(file)
        if self._secret is not None:
            expected = site.sealed(self._secret).hmac_sha256 or ""
            if not hmac.compare_digest((site.hmac_sha256 or "").encode(), expected.encode()):
                raise ArtifactError(
                    f"{file}: not sealed with this station's `thresholds_key_file`, or altered since; "
                    "remove it and recalibrate."
                )
        return site

    def _require_secret(self, file: Path) -> None:
        if self._is_sealed and self._secret is None:
            raise ArtifactError(
                f"{file}: bundles have to be signed here, and without a secret of the station its own "
                "thresholds look like forged ones; set `thresholds_key_file`, or do without thresholds of the site."
            )


def _require_single(file: Path, pairs: Sequence[tuple[str, object]]) -> None:
    """Raises ArtifactError where a key stands twice: of two thresholds nobody can say which was meant."""
    counts = Counter(key for key, _value in pairs)
    double = next((key for key, count in counts.items() if count > 1), None)
    if double is not None:
        raise ArtifactError(f"{file}: `{shown(double)}` stands twice; recalibrate after removing the file.")
