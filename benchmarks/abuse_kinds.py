"""The kinds of abuse, one function each; its docstring is what the table calls it."""

import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import paho.mqtt.client as paho
import yaml
from abuse_station import ENVIRONMENT, SCRIPT, Outcome, Station, judged, png, wait
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from runtime.bundles.bundle import load_bundle, save_manifest
from runtime.bundles.manifest import MANIFEST
from runtime.bundles.site_thresholds import site_file
from tests.runtime.contract import PREFIX
from tests.runtime.pictures import bad_picture, good_picture
from tests.runtime.web import ask

LARGE = (900, 900)
"""Pictures of many pages, so that a part of them can be lost."""


def damaged_pictures(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """A: pictures of which a part is lost, with their end marks (JPEG, progressive JPEG, PNG, BMP, WebP)."""
    forms = [
        (".jpg", [], b"\xff\xd9"),
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], b"\xff\xd9"),
        (".png", [], b""),
        (".bmp", [], b""),
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101], b""),
    ]
    names = []
    for number in range(inputs):
        suffix, options, end = forms[number % len(forms)]
        data = cv2.imencode(suffix, good_picture(number, LARGE), options)[1].tobytes()
        kept = int(len(data) * chance.uniform(0.3, 0.9))
        names.append(station.put(station.name(suffix), data[:kept] + bytes(len(data) - kept - len(end)) + end))
    return judged(station, names, "NotDecidable")


def damaged_live_frames(station: Station, _chance: random.Random, inputs: int) -> Outcome:
    """A: frames of a live camera of which the second half is lost on the way, when a part is triggered."""
    station.camera.damaged.set()
    time.sleep(1)  # whole ones are on their way still
    parts = [f"damaged-{number}" for number in range(inputs)]

    def said() -> list[str]:
        return [each["verdict"]["name"] for each in station.mes.events() if each["part_id"] in parts]

    for part in parts:
        station.mes.send(f"{PREFIX}/trigger/belt", json.dumps({"part_id": part}).encode())
    wait(lambda: len(said()) >= inputs)
    station.camera.damaged.clear()
    return Outcome(inputs, said().count("NotDecidable"), abs(inputs - len(said())), said().count("OK"))


def absurd_headers(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """B: headers of up to 70,000 x 70,000, of 0, and files that are no pictures."""
    names = []
    for _ in range(inputs):
        sides = [chance.choice([0, 1, 70_000, 2**31 - 1]), chance.choice([0, 70_000, 65_536])]
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", *sides, 8, 0, 0, 0, 0))
        data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
        names.append(station.put(station.name(), chance.choice([data, chance.randbytes(999), b"", b"\xff\xd8\xff"])))
    return judged(station, names, "NotDecidable")


def odd_names(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """B: names that are not UTF-8, with line ends, quotes, pictures of letters, and of 255 bytes."""
    parts = [b"\xfc", b"\xff\xfe", b"\n", b'"', b"\\", "\u2603".encode(), b" ", b"%", b"#", b"${HOME}", b"'"]
    names = []
    for number in range(inputs):
        name = b"n%d" % number + b"".join(chance.choices(parts, k=chance.randint(1, 20)))
        names.append(station.put(name[:250] + b".png", png(good_picture(number))))
    return judged(station, names, "OK")


def no_files(station: Station, _chance: random.Random, _inputs: int) -> Outcome:
    """A: a pipe among the pictures, a folder that is gone, a pause."""
    os.mkfifo(station.inbox / "pipe.png")
    told = int(station.is_told("pipe.png is no file"))
    (station.inbox / "pipe.png").unlink()
    station.inbox.rename(station.folder / "away")
    told += station.is_told("camera in is stalled")
    (station.folder / "away").rename(station.inbox)
    station.command("pause")
    told += station.is_told("paused by Ada")
    station.command("resume")
    wait(lambda: station.problems() == [])
    return Outcome(3, told)


def folders_that_vanish(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """B: folders that come and go while they are listed."""
    for _ in range(20 * inputs):
        place = station.inbox / f"s{chance.randint(0, 9)}" / "t"
        place.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(station.inbox / f"s{chance.randint(0, 9)}", ignore_errors=True)
    return Outcome(20 * inputs, 20 * inputs)


def junk_commands(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """B: commands that are none: bytes, half characters, deep and long JSON, other types."""
    before = len(station.mes.events("/cmd_reply"))
    for _ in range(inputs):
        strange = chance.choice(['"\\ud800"', "1e999", "[[[[[[", "null", '{"a":1}', '"' + "x" * 5000 + '"', "-"])
        key = chance.choice(["request_id", "by", "parts", "bundle", "\\udfff"])
        payload = chance.choice([chance.randbytes(50), f'{{"{key}": {strange}}}'.encode(), b"{" * 3000])
        station.mes.send(f"{PREFIX}/cmd/{chance.choice(['pause', 'reload', 'recalibrate'])}", payload)
    wait(lambda: len(station.mes.events("/cmd_reply")) >= before + inputs)
    answers = station.mes.events("/cmd_reply")[before:]
    return Outcome(inputs, sum(not each["ok"] and bool(each["error"]) for each in answers))


def response_topics(station: Station, _chance: random.Random, _inputs: int) -> Outcome:
    """B: response topics of our own tree, of the broker's, and too long ones."""
    topics = [f"{PREFIX}/cmd/pause", f"{PREFIX}/camera/in/result", f"{PREFIX}/status", "$SYS/x", "t" * 3000]
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", station.broker.port)
    client.loop_start()
    before = len(station.mes.events("/cmd_reply"))
    for topic in topics:
        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = topic
        client.publish(f"{PREFIX}/cmd/pause", b'{"request_id": "r"}', 1, properties=properties)
    wait(lambda: len(station.mes.events("/cmd_reply")) >= before + len(topics))
    client.disconnect()
    client.loop_stop()
    answers = station.mes.events("/cmd_reply")[before:]
    return Outcome(len(topics), sum("nothing was done" in (each["error"] or "") for each in answers))


def junk_triggers(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """B: triggers that are none."""

    def refused() -> int:
        return int((station.mes.events("camera/belt/status") or [{"triggers_refused": 0}])[-1]["triggers_refused"])

    before = refused()
    for _ in range(inputs):
        payload = chance.choice(
            [chance.randbytes(20), b"{}", b'{"part_id": [7]}', b'{"part_id": "\\ud800"}', b"[" * 999]
        )
        station.mes.send(f"{PREFIX}/trigger/belt", payload)
    wait(lambda: refused() >= before + inputs)
    return Outcome(inputs, refused() - before)


def absurd_bundles(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """A: bundles and site files with negative, zero, huge and too few thresholds, grids and sizes, on reload."""
    told = 0
    site = site_file(station.bundle)
    manifest = load_bundle(station.bundle).manifest
    for number in range(inputs):
        values = [chance.choice([-1.0, 0.0, 1e300, 1e9])] * chance.choice([1, 9, 10])
        thresholds = manifest.thresholds.model_dump(mode="json") | {"values": values, "spreads": []}
        if number % 2:
            entry = {"by": "x", "at": "y", "thresholds": thresholds}
            site.write_text(json.dumps({"model_sha256": manifest.model_sha256, "cameras": {"in": entry}}))
            told += station.command("reload").get("ok") is False
            site.unlink()
            continue
        other = Path(shutil.copytree(station.bundle, station.folder / f"bundle-{number}"))
        save_manifest(other, manifest)
        content = json.loads((other / MANIFEST).read_text())
        content.update(
            chance.choice([{"thresholds": thresholds}, {"grid": -3}, {"grid": 0}, {"height": 0}, {"width": 10**9}])
        )
        (other / MANIFEST).write_text(json.dumps(content))
        told += station.command("reload", bundle=other.name).get("ok") is False
    return Outcome(inputs, told)


def broken_parts_in_a_recalibration(station: Station, chance: random.Random, _inputs: int) -> Outcome:
    """A: a recalibration on parts of which one in six is broken, and one across a reload."""
    request = {"request_id": "calibrate", "by": "Ada", "camera": "in", "parts": 100}
    station.mes.send(f"{PREFIX}/cmd/recalibrate", json.dumps(request).encode())
    station.command("snapshot", camera="x")  # which is answered behind it
    bad = set(chance.sample(range(100), 17))
    names = [station.put(station.name(), png((bad_picture if n in bad else good_picture)(n))) for n in range(100)]
    station.verdicts(names)

    def answers() -> list[str]:
        return [each["error"] or "" for each in station.mes.events("/cmd_reply") if each["request_id"] == "calibrate"]

    wait(lambda: len(answers()) == 1)
    station.mes.send(f"{PREFIX}/cmd/recalibrate", json.dumps(request).encode())
    station.command("reload")
    wait(lambda: len(answers()) == 2)
    told = ("NotOK now" in "".join(answers()[:1])) + ("another model" in "".join(answers()[1:]))
    return Outcome(2, told, passed=int(site_file(station.bundle).exists()))


def idle_connections(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """B: 1,100 idle connections to the page, and requests that are none."""
    host, port = station.address.removeprefix("http://").split(":")
    with ExitStack() as stack:
        for number in range(1100):
            each = stack.enter_context(socket.create_connection((host, int(port)), 10))
            if number < inputs:
                each.send(chance.randbytes(200))
        told = ask(f"{station.address}/readyz")[0] == 200
    return Outcome(1100, 1100 * told)


def uploads(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """C: uploads that come in pieces, the same name twice, and what other systems leave."""
    names = []
    for number in range(inputs):
        data, name = png(good_picture(number)), station.name()
        with (station.inbox / name).open("wb") as file:
            for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
                file.write(piece)
                file.flush()
                time.sleep(chance.uniform(0, 0.2))
        names.append(name)
    (station.inbox / "@eaDir").mkdir(exist_ok=True)
    (station.inbox / "@eaDir" / "x.png").write_bytes(b"a thumbnail")
    (station.inbox / "._x.png").write_bytes(b"a fork")
    (station.inbox / "folder.png").mkdir(exist_ok=True)
    outcome = judged(station, names, "OK")
    again = station.put(names[0], png(bad_picture(3)))
    wait(lambda: len(station.verdicts([again])[again]) == 2)
    outcome.tried += 1
    outcome.told += station.verdicts([again])[again][-1] == "NotOK"
    strangers = station.mes.events()
    outcome.lost += sum(each["frame"]["source"] in ("@eaDir/x.png", "._x.png", "folder.png") for each in strangers)
    return outcome


def misread_configurations(station: Station, _chance: random.Random, _inputs: int) -> Outcome:
    """D: a key twice, names that YAML reads otherwise, an empty host, ports that are none, passwords in URLs."""
    whole = station.config.read_text()
    plain = yaml.safe_load(whole)
    texts = [
        whole + "station: again\n",
        whole.replace("station: test-1", "station: on"),
        whole.replace("station: test-1", "station: 007"),
        whole.replace("  in:", "  010:"),
        whole.replace("  in:", "  yes:"),
        whole.replace("host: 127.0.0.1", "host:"),
        whole.replace("host: 127.0.0.1", "host: ''"),
    ]
    for url in ("rtsp://a:b@c:99999/x", "rtsp://viewer:first/second@c/x", "rtsp:///x", "http://a:b#c@d/x"):
        changed = {**plain, "cameras": {"top": {"kind": url[:4], "url": url}}}
        texts.append(yaml.safe_dump(changed))
    told = 0
    for number, text in enumerate(texts):
        config = station.folder / f"misread-{number}.yaml"
        config.write_text(text)
        command = [sys.executable, "-c", SCRIPT, "doctor", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
        told += done.returncode == 2 and done.stderr.count("\n") == 1 and "second" not in done.stderr
    return Outcome(len(texts), told)


def chunk(kind: bytes, data: bytes) -> bytes:
    """One of a PNG's."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


SLOW = (misread_configurations,)
KINDS = (
    damaged_pictures,
    absurd_bundles,
    broken_parts_in_a_recalibration,
    no_files,
    damaged_live_frames,
    absurd_headers,
    odd_names,
    folders_that_vanish,
    junk_commands,
    response_topics,
    junk_triggers,
    idle_connections,
    uploads,
)
