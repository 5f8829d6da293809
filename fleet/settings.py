"""The configuration of `fleet`: the operator's file for many stations, and the agent's beside each one."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveInt

from core.config import Settings, Wait
from runtime.mqtt.settings import BrokerSettings


class FleetSettings(Settings):
    """What the operator's commands read: `roll-out`, `rollback`, `page`."""

    broker: BrokerSettings
    stations: str = Field(default="pwae/+/+/+/+", pattern=r"^[^#$ ]+$", examples=["pwae/plant-1/+/+/+"])
    """Topic filter of the stations' prefixes; `+` stands for one level."""
    key: Path | None = None
    """The site's private key (Ed25519, PEM), which signs bundles and orders. `page` needs none."""
    waves: tuple[PositiveInt, ...] = (5, 50)
    """How many stations get the bundle first, how many next, and so on; the last wave is all the others."""
    report_within_s: Wait = 900.0
    """A wave whose stations do not all report the bundle within this time stops the roll-out."""
    watch_parts: PositiveInt = 200
    """Parts that each station of a wave judges with the new bundle before the next wave."""
    watch_within_s: Wait = 3600.0
    """Stations that have judged fewer within this time stop the roll-out: nothing can be said of them."""
    reject_jump: Annotated[float, Field(gt=0, lt=1)] = 0.02
    """The share of parts not passed may grow by this much; 0.02 is from 1 % to 3 %."""


class AgentSettings(Settings):
    """What the agent on a station's box reads."""

    inspection: Path
    """The configuration of its `run-inspection`: broker, topics, backend, `bundle_key`, and `bundle`, a link beside
    which bundles are kept."""
    ca_file: Path | None = None
    """Certificates to trust where bundles are fetched, PEM. None: the system's."""
    max_bytes: PositiveInt = 2_000_000_000
    """A package that is larger is not fetched."""
    pictures: Path | None = None
    """Pictures for `export-engine verify` on this box. None: the pictures in the bundle alone are judged."""
