"""The configuration of `run-inspection`: what is judged, with which bundle, and who is told."""

import datetime
from itertools import permutations, product
from os.path import realpath
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from core.config import Name, Settings, Wait
from runtime.actuator.settings import ModbusSettings
from runtime.batching.settings import BatchingSettings
from runtime.bundles.site_thresholds import SiteThresholds, site_secret
from runtime.cameras.settings import (
    LAST_ADDRESS,
    CameraSettings,
    FolderSettings,
    GenicamSettings,
    GentlSettings,
    Streams,
    VerdictSettings,
    WatchSettings,
)
from runtime.events.topics import Topics, expand
from runtime.evidence.settings import EvidenceSettings
from runtime.inference.settings import BackendSettings
from runtime.mqtt.settings import BrokerSettings, HomeAssistantSettings
from runtime.outbox.settings import OutboxSettings
from runtime.sparkplug.settings import SparkplugSettings
from runtime.view.settings import ViewSettings

Verb = Literal["pause", "resume", "snapshot", "reload", "recalibrate", "job", "resend"]
"""A command over MQTT."""
Recipe = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""As the MES names it."""


def _quoted(value: Any) -> Any:
    if isinstance(value, int | float):  # YAML reads 14:00 as 840, 06:00 as text, and 06.00 as 6
        raise ValueError('put times of the day in quotes, such as "14:00"')
    return value


def _without_zone(value: datetime.time) -> datetime.time:
    if value.tzinfo is not None:
        raise ValueError('times of the day are in the machine\'s own zone; leave the zone out, as in "14:00"')
    return value


TimeOfDay = Annotated[
    datetime.time, BeforeValidator(_quoted, json_schema_input_type=str), AfterValidator(_without_zone)
]
"""In local time, such as "06:00"."""


class InspectionSettings(Settings):
    """The whole file."""

    bundle: Path
    """The folder that `export-engine` wrote. With `bundles` it judges the parts without a recipe."""
    bundles: dict[Recipe, Path] = Field(default={}, max_length=64)
    """Of each recipe that a trigger or `cmd/job` may name, its own bundle; all are kept open and warm. A part of any
    other recipe is NotDecidable. Left out: `bundle` judges whatever recipe is told."""
    bundle_key: Path | None = None
    """The site's public key in PEM: a bundle that is not signed with it is refused. None: no signature is asked for."""
    thresholds_key_file: Path | None = None
    """The file whose first line is the station's own secret (`openssl rand -hex 32`, readable by it alone), with which
    thresholds set on site are sealed. With `bundle_key` and without this none are taken, nor set."""
    station: Name
    site: Name = "site"
    area: Name = "area"
    line: Name = "line"
    topic_prefix: str = "pwae/{site}/{area}/{line}/{station}"
    """Where the events go in the plant's topic tree; `{site}`, `{area}`, `{line}` and `{station}` are filled in."""
    cameras: dict[Name, CameraSettings] = Field(min_length=1)
    batching: BatchingSettings = BatchingSettings()
    backend: BackendSettings = BackendSettings()
    broker: BrokerSettings = BrokerSettings()
    outbox: OutboxSettings = OutboxSettings()
    commands: tuple[Verb, ...] = ()
    """What may be asked for over MQTT. The broker's access list has to say who may ask."""
    metrics_every_s: Wait = 10.0
    """How often the station's speed is published on the topic `metrics`."""
    evidence: EvidenceSettings | None = None
    """None: no pictures are kept, and no history of what was judged."""
    shifts: tuple[TimeOfDay, ...] = Field(default=(datetime.time(0),), min_length=1)
    """When shifts begin, in the machine's time zone, such as ["06:00", "14:00", "22:00"]: parts are counted by them."""
    view: ViewSettings | None = None
    """None: no web page and no metrics."""
    sparkplug: SparkplugSettings | None = None
    """None: events are sent as JSON alone."""
    home_assistant: HomeAssistantSettings | None = None
    """None: Home Assistant gets nothing; what it got from an earlier run is taken back."""
    modbus: ModbusSettings | None = None
    """None: no PLC gets verdicts by Modbus; `verdict.coil` of the cameras needs it."""

    @model_validator(mode="after")
    def _streams_differ(self) -> Self:
        named = [stream for name, camera in self.cameras.items() for stream in camera.streams(name)]
        doubles = sorted({stream for stream in named if named.count(stream) > 1})
        if doubles:
            raise ValueError(f"two regions or cameras would both have the name `{doubles[0]}` in events; rename one")
        return self

    @model_validator(mode="after")
    def _opens_each_camera_once(self) -> Self:
        at: dict[tuple[Path | None, str], str] = {}
        for name, camera in self.cameras.items():
            if not isinstance(camera, GenicamSettings | GentlSettings):
                continue
            place = camera.serial or str(camera.address if isinstance(camera, GenicamSettings) else camera.device)
            producer = camera.producer if isinstance(camera, GentlSettings) else None  # each names its own devices
            if (other := at.setdefault((producer, place), name)) != name:
                raise ValueError(f"`{other}` and `{name}` are one camera, {place}, for one alone; give it `regions`")
        return self

    @model_validator(mode="after")
    def _keeps_its_own_files_apart(self) -> Self:
        """What the station puts somewhere must not come back to it as parts, nor lie in a bundle, which is replaced."""
        evidence = self.evidence
        pictures = {"evidence.folder": evidence.folder} if evidence else {}
        judged, read = {}, {}
        for name, camera in self.cameras.items():
            if isinstance(camera, WatchSettings) and camera.move_to is not None:
                pictures[f"cameras.{name}.move_to"] = camera.move_to
            if isinstance(camera, WatchSettings | FolderSettings):
                judged[f"the folder that camera `{name}` judges"] = read[f"cameras.{name}.path"] = camera.path
        kept = {f"what `evidence` keeps as {folder.name}": folder for folder in evidence.folders} if evidence else {}
        bundles = {"the folder of `bundle`": self.bundle}
        bundles |= {f"the folder of `bundles.{recipe}`": path for recipe, path in self.bundles.items()}
        written = pictures | {"outbox.path": self.outbox.path}
        for own, others in ((pictures, judged), (read, kept), (written, bundles)):
            for (key, path), (what, other) in product(own.items(), others.items()):
                if Path(realpath(path)).is_relative_to(realpath(other)):  # `resolve` raises for a link to itself
                    raise ValueError(f"`{key}` lies in {what}; set another folder")
        return self

    @model_validator(mode="after")
    def _moves_nothing_away_that_another_camera_judges(self) -> Self:
        files = {name: each for name, each in self.cameras.items() if isinstance(each, WatchSettings | FolderSettings)}
        for (name, camera), (other, beside) in permutations(files.items(), 2):
            folder, another = Path(realpath(camera.path)), Path(realpath(beside.path))
            is_shared = folder.is_relative_to(another) or another.is_relative_to(folder)
            if is_shared and isinstance(camera, WatchSettings) and camera.move_to is not None:
                raise ValueError(
                    f"`{name}` would move pictures away that `{other}` judges too, and may not have seen; give each "
                    "camera a folder beside the other's, or one camera `regions`"
                )
        return self

    @model_validator(mode="after")
    def _switches_each_coil_for_one_stream(self) -> Self:
        coils = [verdict.coil for verdict in self.verdicts.values() if verdict.coil is not None]
        if coils and self.modbus is None:
            raise ValueError("`verdict.coil` needs `modbus`, the PLC whose coil it is")
        if coils and max(coils) > LAST_ADDRESS:
            raise ValueError(f"coil {max(coils)} would be switched for a region, and {LAST_ADDRESS} is the last one")
        if self.modbus is not None and not coils and self.modbus.heartbeat_register is None:
            raise ValueError("`modbus` has nothing to switch; give cameras a `verdict.coil`, or a `heartbeat_register`")
        doubles = sorted({coil for coil in coils if coils.count(coil) > 1})
        if doubles:
            raise ValueError(f"coil {doubles[0]} would be switched for two cameras or regions; set another `coil`")
        return self

    @model_validator(mode="after")
    def _keeps_what_may_be_asked_for(self) -> Self:
        if "resend" in self.commands and not self.outbox.journal_events:
            raise ValueError("`commands: [resend]` sends again what `outbox.journal_events` keeps; set it, as to 10000")
        return self

    @model_validator(mode="after")
    def _has_prefix(self) -> Self:
        try:
            expand(self.topic_prefix, self._names)
        except ValueError as error:
            raise ValueError(f"`topic_prefix`: {error}") from error
        return self

    @property
    def _names(self) -> dict[str, str]:
        return {"site": self.site, "area": self.area, "line": self.line, "station": self.station}

    @property
    def kept_folders(self) -> list[Path]:
        """Folders into which the station puts pictures, which are never judged."""
        moved = [camera.move_to for camera in self.cameras.values() if isinstance(camera, WatchSettings)]
        return [*(self.evidence.folders if self.evidence else ()), *(folder for folder in moved if folder is not None)]

    @property
    def picture_folders(self) -> list[Path]:
        """Folders whose pictures are judged."""
        return [camera.path for camera in self.cameras.values() if isinstance(camera, WatchSettings | FolderSettings)]

    @property
    def streams(self) -> dict[str, CameraSettings]:
        """Every stream of parts that is judged, by the name its events carry: a camera, or each of its regions."""
        return {stream: camera for name, camera in self.cameras.items() for stream in camera.streams(name)}

    @property
    def regions(self) -> Streams:
        """What is judged of the frames of each."""
        return {stream: roi for name, camera in self.cameras.items() for stream, roi in camera.streams(name).items()}

    @property
    def verdicts(self) -> dict[str, VerdictSettings]:
        """Of every stream whose verdicts are told at once; each region of a camera has a coil of its own."""
        found = {}
        for name, camera in self.cameras.items():
            for place, stream in enumerate(camera.streams(name)):
                if camera.verdict is not None:
                    coil = None if camera.verdict.coil is None else camera.verdict.coil + place
                    found[stream] = camera.verdict.model_copy(update={"coil": coil})
        return found

    @property
    def threshold_factors(self) -> dict[str, float]:
        """Of every stream, by its name."""
        return {stream: camera.threshold_factor for stream, camera in self.streams.items()}

    def site_thresholds(self) -> SiteThresholds:
        """Give what reads and writes thresholds set on site. Raises ConfigError where their secret cannot be read."""
        secret = site_secret(self.thresholds_key_file)
        return SiteThresholds(self.threshold_factors, secret, is_sealed=self.bundle_key is not None)

    @property
    def topics(self) -> Topics:
        """Every topic of the station."""
        return Topics(expand(self.topic_prefix, self._names))

    @property
    def asked(self) -> tuple[Path | None, BackendSettings, int]:
        """How the bundle is opened: the key that it is signed with, who is to compute it, the largest batch."""
        return self.bundle_key, self.backend, self.batching.max_batch

    @property
    def client_id(self) -> str:
        """The MQTT client id: stable, so that the broker knows this station again."""
        return self.broker.client_id or "-".join(["pwae", *self._names.values()])
