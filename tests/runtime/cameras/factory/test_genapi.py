"""Descriptions: wherever a camera has its own, plain or as a ZIP archive, its features are read from it."""

import ctypes
import io
import zipfile
from ctypes import c_void_p
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("genicam", reason="genicam is not installed")

from runtime.cameras.factory.genapi import GenapiNodes

VERSIONS = " ".join(
    f'{name}="1"' for name in ("SchemaMajorVersion", "SchemaMinorVersion", "MajorVersion", "MinorVersion")
)
XML = f"""<RegisterDescription xmlns="http://www.genicam.org/GenApi/Version_1_1" ModelName="m" VendorName="v" ToolTip=""
  StandardNameSpace="None" {VERSIONS} SchemaSubMinorVersion="0" SubMinorVersion="0" ProductGuid="g" VersionGuid="g">
  <Category Name="Root"><pFeature>Lines</pFeature><pFeature>Gain</pFeature><pFeature>Mirrored</pFeature></Category>
  <Integer Name="Lines"><Value>31</Value><Representation>HexNumber</Representation></Integer>
  <Float Name="Gain"><Value>1.5</Value></Float>
  <Boolean Name="Mirrored"><Value>true</Value></Boolean>
  <Port Name="Device"/>
</RegisterDescription>""".encode()
ADDRESS = 0xF0000000


class OneCamera:
    """What a Producer answers of one camera, whose memory holds `content` and whose description lies at `urls`."""

    def __init__(self, content: bytes, *urls: str) -> None:
        self._content = content
        self._urls = urls

    def opened(self, *_: Any) -> c_void_p:
        return c_void_p(1)

    def count(self, *_: Any) -> int:
        return len(self._urls)

    def ask(self, function: str, *arguments: Any) -> Any:
        return self._urls[arguments[1].value] if function == "GCGetPortURLInfo" else None

    def call(self, function: str, _port: Any, address: Any, data: Any, size: Any) -> None:
        assert function == "GCReadPort"
        start = address.value - ADDRESS
        ctypes.memmove(data, self._content[start : start + size._obj.value], size._obj.value)


def nodes(content: bytes, *urls: str) -> GenapiNodes:
    producer: Any = OneCamera(content, *urls)
    return GenapiNodes(producer, c_void_p(1))


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("camera.xml", content)
    return file.getvalue()


@pytest.mark.parametrize("content", [XML, zipped(XML), XML + b"\0" * 5])
@pytest.mark.parametrize(
    "url", ["Local:camera.xml;F0000000;{:X}?SchemaVersion=1.1.0", "local:///c.zip;0xf0000000;{:x}"]
)
def test_a_description_in_the_camera_is_read(content: bytes, url: str) -> None:
    found = nodes(content, "http://maker.example/camera.xml", url.format(len(content)))
    assert found.is_there()
    told = {name: found.get(name) for name in ("Lines", "Gain", "Mirrored")}
    assert told == {"Lines": 31, "Gain": 1.5, "Mirrored": "true"}  # the first is hexadecimal as text
    found.set("Lines", "32")
    assert found.get("Lines") == 32
    found.close()


def test_a_description_in_a_file_of_the_maker_s_software_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a camera.zip"
    file.write_bytes(zipped(XML))
    found = nodes(XML, f"{file.as_uri()}?SchemaVersion=1.1.0")
    assert found.get("Lines") == 31
    found.close()


@pytest.mark.parametrize(
    ("content", "urls", "reason"),
    [
        (b"", (), "it names none"),
        (b"", ("http://maker.example/camera.xml",), "it names http://maker.example/camera.xml"),
        (b"", ("file:///gone/camera.xml",), "No such file"),
        (b"<none", ("local:c;f0000000;5",), "Error"),
        (b"PK\3\4 nothing", ("local:c;f0000000;c",), "its description cannot be unpacked"),
        (zipped(XML)[:60] + b"x" + zipped(XML)[61:], (f"local:c;f0000000;{len(zipped(XML)):x}",), "cannot be unpacked"),
    ],
)
def test_a_camera_without_a_description_that_can_be_read_is_told(
    content: bytes, urls: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(OSError) as told:  # noqa: PT011, its words are compared below
        nodes(content, *urls)
    assert reason in str(told.value)
