"""The cameras' part of the configuration: where frames come from, what of them is judged, and when."""

import re
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from core.config import Name, Settings, Wait
from core.pictures.exposure import BLACK_LEVEL, SHARE, WHITE_LEVEL
from core.pictures.geometry import Roi
from core.thresholds import LARGEST_LOOSENING
from runtime.cameras.feature_value import Feature
from runtime.cameras.url import filled_in, require_address

LAST_ADDRESS = 65_535
Address = Annotated[int, Field(ge=0, le=LAST_ADDRESS)]
"""Of a coil or register, counted from 0."""
Streams = dict[str, Roi | None]
"""Regions by the names that their events carry, cameras or regions of theirs; None: what the model has seen."""
GreyLevel = Annotated[int, Field(ge=0, le=255)]
Decoding = Literal["software", "cuda", "vaapi"]
"""Who decodes a film or stream. `cuda` (NVIDIA) and `vaapi` (Intel, AMD) take it off the cores; where they are not
there software does, and the log says so. Only software tells what is damaged within a picture: else it is judged."""


class ExposureSettings(Settings):
    """When a frame shows nothing to judge."""

    black_level: GreyLevel = BLACK_LEVEL
    """A frame is black when `share` of its values are at or below this."""
    white_level: GreyLevel = WHITE_LEVEL
    """A frame is over-exposed when `share` of its values are at or above this."""
    share: float = Field(default=SHARE, gt=0.5, le=1)


class TriggerSettings(Settings):
    """The camera judges only at a message on `<prefix>/trigger/<camera>`: the frame that is nearest in time."""

    tolerance_ms: float = Field(default=100.0, gt=0, le=10_000)
    """How far from the trigger's time a frame may be. For messages that come late, frames are kept for twice as long,
    and for half a second at least; for longer than that no more than 512 MB of each camera's."""


class VerdictSettings(Settings):
    """Each verdict goes out on `camera/<name>/verdict` as soon as it stands, before its event is stored."""

    deadline_ms: float = Field(gt=0, le=60_000)
    """How long after the frame, or the trigger's time. What has no verdict by then is sent as NotDecidable, `late`."""
    coil: Address | None = None
    """The coil, counted from 0, that `modbus` switches: on for NotOK and NotDecidable. Each region has the next one."""


class _CameraSettings(Settings):
    roi: Roi | None = None
    """Region of interest in pixels of the camera's frame: left, top, width, height. None: that which the bundle was
    trained on (`network.roi`), or the whole frame."""
    regions: dict[Name, Roi] = Field(default={})
    """Instead of `roi`: several regions by name. In events each is a camera of its own, `<camera>-<region>`."""
    frame_size: tuple[PositiveInt, PositiveInt] | None = None
    """Width and height that every frame has to have. None: of a film or live camera those of its first frame; the
    pictures of a folder may differ."""
    max_fps: Annotated[float, Field(ge=0.001)] | None = None
    """No more frames a second than this. None: as fast as they can be judged."""
    threshold_factor: float = Field(default=1.0, gt=0, le=LARGEST_LOOSENING)
    """Multiplies the bundle's thresholds for this camera."""
    exposure: ExposureSettings = ExposureSettings()
    verdict: VerdictSettings | None = None
    """None: nobody waits for verdicts; events tell them."""

    @model_validator(mode="after")
    def _has_one_kind_of_region(self) -> Self:
        if self.roi and self.regions:
            raise ValueError("give `roi` or `regions`, not both")
        return self

    def streams(self, name: str) -> Streams:
        """What is judged of a camera called `name`."""
        if not self.regions:
            return {name: self.roi}
        return {f"{name}-{region}": roi for region, roi in self.regions.items()}


class FolderSettings(_CameraSettings):
    """Every picture below a folder, once, in name order. Nothing is dropped."""

    kind: Literal["folder"]
    path: Path


class WatchSettings(_CameraSettings):
    """Every picture that is put into a folder, once, as soon as it is whole. Nothing is dropped."""

    kind: Literal["watch"]
    path: Path
    move_to: Path | None = None
    """Pictures are moved here when their event is on disk; one whose name is taken there gets its time to its name."""
    unreadable_after_s: Wait = 10.0
    """A picture that cannot be read, and has not changed for this long, will not become whole: it is NotDecidable. More
    than an upload may pause."""
    part_id_pattern: str | None = None
    """A regular expression with one group, looked for in each picture's name: what the group holds is the event's
    `part_id`, as in `^SN(\\d+)_`. A name without it gives none."""

    @field_validator("part_id_pattern")
    @classmethod
    def _has_one_group(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise ValueError(f"no regular expression: {error}") from None
            if groups != 1:
                raise ValueError(f"needs one group in brackets, `(...)`, which is the part's id; it has {groups}")
        return pattern


class VideoSettings(_CameraSettings):
    """Every frame of a video file, once. Nothing is dropped."""

    kind: Literal["video"]
    path: Path
    judge_every: PositiveInt = 1
    """Every n-th frame is judged."""
    decoding: Decoding = "software"
    """Who decodes it: `software`, or `cuda` or `vaapi`, which tell less of damage."""


class LiveCameraSettings(_CameraSettings):
    """A camera that never ends: the newest frame is judged, and it is connected to again for ever."""

    judge_every: PositiveInt = 1
    """Every n-th frame is judged."""
    stale_after_s: Wait = 2.0
    """A camera silent for this long is stalled; a frame older than this is not judged. More than the time between two
    frames."""
    frozen_after: int | None = Field(default=100, ge=2)
    """After this many identical frames the camera counts as frozen. None: never, for generated pictures."""
    timeout_s: Wait = 5.0
    """How long opening, and reading one frame, may take before the camera is connected to again."""
    trigger: TriggerSettings | None = None
    """None: free-running."""

    @property
    def every_frame_is_a_part(self) -> bool:
        """Whether no frame may be left out, however long it waits."""
        return False


class _UrlSettings(LiveCameraSettings):
    url: str
    """`${NAME}` stands for the environment variable NAME: a password never stands in this file."""
    decoding: Decoding = "software"
    """Who decodes it: `software`, or `cuda` or `vaapi`, which tell less of damage. Motion JPEG always software."""
    ca_file: Path | None = None
    """Certificates to trust over https:// and rtsps://, PEM: the plant's CA's, or the camera's own. None: the system's.
    Certificate and host name are always checked."""

    @field_validator("url")
    @classmethod
    def _is_an_address_without_password(cls, url: str) -> str:
        require_address(url)
        return url

    @model_validator(mode="after")
    def _trusts_where_there_is_tls(self) -> Self:
        if self.ca_file and not self.url.startswith(("https:", "rtsps:")):
            raise ValueError("`ca_file` is for https:// and rtsps://; nothing is encrypted by this `url`")
        return self

    def address(self) -> str:
        """Give the URL with its variables filled in. Raises ConfigError where one is not set."""
        return filled_in(self.url)


class RtspSettings(_UrlSettings):
    """An IP camera, over TCP."""

    kind: Literal["rtsp"]
    url: str = Field(pattern=r"^rtsps?://", examples=["rtsp://10.0.0.7/stream"])


class HttpSettings(_UrlSettings):
    """Motion JPEG, or any other video that FFMPEG reads, over HTTP."""

    kind: Literal["http"]
    url: str = Field(pattern=r"^https?://", examples=["http://10.0.0.7/video.mjpg"])


class V4l2Settings(LiveCameraSettings):
    """A camera at this machine (USB, CSI), by Video4Linux."""

    kind: Literal["v4l2"]
    device: Path
    """Such as /dev/video0, or a stable name below /dev/v4l/by-id."""
    resolution: tuple[PositiveInt, PositiveInt] | None = None
    """Width and height to ask the driver for. None: its own choice."""


class GenicamTriggerSettings(TriggerSettings):
    """What a part is: the frame that a message on `<prefix>/trigger/<camera>` names, or every frame of the camera."""

    mode: Literal["nearest", "software", "hardware"] = "nearest"
    """nearest: a message names the frame nearest in time. software: it fires the camera's software trigger, and names
    the frame that follows within `tolerance_ms`. hardware: every frame is a part (a light barrier at the camera,
    set in `features`); a message gives the next part's id ahead. Of the last two no frame is ever left out."""


class FactoryCameraSettings(LiveCameraSettings):
    """A factory camera, set up by its GenICam description."""

    serial: str | None = Field(default=None, min_length=1)
    """The camera's serial number. `run-inspection cameras` lists what answers."""
    features: dict[str, Feature] = Field(default={})
    """Features of the camera by their names in its data sheet, set in this order at each connection, such as
    `PixelFormat: BayerRG8` or `ExposureTime: 5000`. What the camera does not have or take is refused."""
    chunks: tuple[str, ...] = ()
    """What the camera is to say of each frame, by its names for ChunkSelector, such as ExposureTime, LineStatusAll or
    EncoderValue. It stands in the event."""
    trigger: GenicamTriggerSettings | None = None
    """None: free-running."""

    @property
    def every_frame_is_a_part(self) -> bool:
        """Whether no frame may be left out, however long it waits."""
        return self.trigger is not None and self.trigger.mode != "nearest"

    @model_validator(mode="after")
    def _leaves_no_part_out(self) -> Self:
        if self.every_frame_is_a_part and (self.judge_every > 1 or self.max_fps):
            raise ValueError("where every frame is a part, `judge_every` and `max_fps` would leave parts out")
        return self

    @model_validator(mode="after")
    def _waits_for_no_untold_trigger(self) -> Self:
        is_of_frames = self.features.get("TriggerSelector", "FrameStart") == "FrameStart"
        if self.trigger is None and is_of_frames and self.features.get("TriggerMode") in (True, "On"):
            raise ValueError(
                "`features` let each frame wait for a trigger, and without `trigger` its silence would be a fault; "
                "add `trigger: {mode: hardware}`, or leave TriggerMode out"
            )
        return self


class GenicamSettings(FactoryCameraSettings):
    """A factory camera of GigE Vision or USB3 Vision."""

    kind: Literal["genicam"]
    address: IPv4Address | None = None
    """Instead of `serial`: of a camera of GigE Vision, on this machine's own network."""
    interface: str | None = Field(default=None, min_length=1)
    """The network interface that leads to the camera: its name or its own IPv4 address. None: all are asked."""

    @model_validator(mode="after")
    def _names_one_camera(self) -> Self:
        if (self.address is None) == (self.serial is None):
            raise ValueError("give the camera's `address` or its `serial`; `run-inspection cameras` lists both")
        return self


class GentlSettings(FactoryCameraSettings):
    """A factory camera behind its maker's GenTL producer, such as one of CoaXPress or Camera Link."""

    kind: Literal["gentl"]
    producer: Path | None = None
    """The producer's .cti file, or a folder of them. None: the folders that the variable GENICAM_GENTL64_PATH names."""
    device: str | None = Field(default=None, min_length=1)
    """Instead of `serial`: the name that the producer has for the camera."""

    @model_validator(mode="after")
    def _names_one_camera(self) -> Self:
        if (self.device is None) == (self.serial is None):
            raise ValueError("give the camera's `serial` or its `device`; `run-inspection cameras` lists them")
        return self


CameraSettings = Annotated[
    FolderSettings
    | WatchSettings
    | VideoSettings
    | RtspSettings
    | HttpSettings
    | V4l2Settings
    | GenicamSettings
    | GentlSettings,
    Field(discriminator="kind"),
]
