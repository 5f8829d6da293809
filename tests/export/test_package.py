import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from core.errors import ArtifactError, ConfigError
from export import package
from export.package import pack, sign, unpack
from runtime.bundles.bundle import Bundle, load_bundle, save_manifest
from runtime.bundles.manifest import MANIFEST, MODEL, SIGNATURE


@pytest.fixture
def bundle(bundle_path: Path, tmp_path: Path) -> Bundle:
    return load_bundle(Path(shutil.copytree(bundle_path, tmp_path / "bundle")))


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A site's private and public key, made as the documentation says."""
    private, public = tmp_path / "site.key", tmp_path / "site.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


def test_a_bundle_packs_into_the_same_file_every_time_and_unpacks_to_itself(bundle: Bundle, tmp_path: Path) -> None:
    digest = pack(bundle, tmp_path / "one.pwae")
    assert pack(bundle, tmp_path / "two.pwae") == digest
    with pytest.raises(ConfigError, match="exists; choose another"):
        pack(bundle, tmp_path / "one.pwae")
    with pytest.raises(ConfigError, match="cannot be written"):
        pack(bundle, tmp_path / "nowhere" / "one.pwae")
    unpacked = unpack(tmp_path / "one.pwae", tmp_path / "out", digest)
    assert unpacked.manifest == bundle.manifest
    assert (tmp_path / "out" / MODEL).read_bytes() == bundle.model.read_bytes()


def test_another_file_a_truncated_one_and_none_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "one.pwae"
    digest = pack(bundle, file)
    with pytest.raises(ArtifactError, match="its sha256 is .* copy it again"):
        unpack(file, tmp_path / "out", "0" * 64)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=f"not {digest}"):
        unpack(file, tmp_path / "out", digest)
    with pytest.raises(ArtifactError, match="damaged, or no packed bundle"):
        unpack(file, tmp_path / "out")
    with pytest.raises(ArtifactError, match="no such file"):
        unpack(tmp_path / "absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_outside_or_over_what_is_there(bundle: Bundle, tmp_path: Path) -> None:
    pack(bundle, tmp_path / "one.pwae")
    with pytest.raises(ConfigError, match="exists; choose another"):
        unpack(tmp_path / "one.pwae", bundle.path)
    for name in ("../evil", "evil", "/evil"):
        shutil.copy(tmp_path / "one.pwae", tmp_path / "more.pwae")
        with zipfile.ZipFile(tmp_path / "more.pwae", "a") as archive:
            archive.writestr(name, "x")
        with pytest.raises(ArtifactError, match=r"more\.pwae: holds .*evil, which bundle.json does not name"):
            unpack(tmp_path / "more.pwae", tmp_path / "inner" / "out")
    assert not list(tmp_path.rglob("evil"))
    assert not list((tmp_path / "inner").iterdir())


def test_what_claims_to_be_huge_is_not_unpacked(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(bundle, tmp_path / "one.pwae")
    monkeypatch.setattr(package, "LARGEST_BYTES", 100)
    with pytest.raises(ArtifactError, match="more than .* GB when unpacked"):
        unpack(tmp_path / "one.pwae", tmp_path / "out")


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_is_packed_in_another_way_is_refused(bundle: Bundle, tmp_path: Path, way: int) -> None:
    with zipfile.ZipFile(tmp_path / "one.pwae", "w", way) as archive:
        for name in (MANIFEST, *bundle.manifest.files):
            archive.write(bundle.path / name, name)
    with pytest.raises(ArtifactError, match="packed in another way"):
        unpack(tmp_path / "one.pwae", tmp_path / "out")


def test_a_signed_bundle_is_taken_by_who_holds_the_public_key_packed_or_not(
    bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    private, public = keys
    sign(bundle.path, private)
    assert load_bundle(bundle.path, public).manifest == bundle.manifest
    pack(bundle, tmp_path / "one.pwae")
    assert load_bundle(unpack(tmp_path / "one.pwae", tmp_path / "out").path, public).manifest == bundle.manifest


def test_an_unsigned_bundle_another_key_and_an_alteration_after_signing_are_refused(
    bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    private, public = keys
    with pytest.raises(ArtifactError, match="not signed"):
        load_bundle(bundle.path, public)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "other.key"], check=True)
    sign(bundle.path, tmp_path / "other.key")
    with pytest.raises(ArtifactError, match="does not belong to"):
        load_bundle(bundle.path, public)
    sign(bundle.path, private)
    (bundle.path / MANIFEST).write_text((bundle.path / MANIFEST).read_text() + "\n")
    with pytest.raises(ArtifactError, match="altered after signing"):
        load_bundle(bundle.path, public)


def test_keys_of_another_kind_are_refused(bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path) -> None:
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", tmp_path / "rsa.key", "-quiet"], check=True)
    os.mkfifo(tmp_path / "pipe")
    for wrong in (tmp_path / "rsa.key", keys[1], tmp_path / "absent", tmp_path / "pipe"):
        with pytest.raises(ConfigError, match=wrong.name):
            sign(bundle.path, wrong)
    sign(bundle.path, keys[0])
    for wrong in (keys[0], tmp_path / "pipe"):
        with pytest.raises(ConfigError, match=rf"{wrong.name}: no readable public key in PEM \((?!\[Errno)"):
            load_bundle(bundle.path, wrong)


def test_what_somebody_puts_there_after_it_was_checked_is_not_signed(
    bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copytree(bundle.path, tmp_path / "altered"))
    (path / SIGNATURE).unlink(missing_ok=True)

    def checked_and_altered(path: Path) -> Bundle:
        found = load_bundle(path)
        save_manifest(path, found.manifest.model_copy(update={"name": "another"}))
        return found

    monkeypatch.setattr(package, "load_bundle", checked_and_altered)
    with pytest.raises(ArtifactError, match="altered while it was checked"):
        sign(path, keys[0])
    assert not load_bundle(path).is_signed
