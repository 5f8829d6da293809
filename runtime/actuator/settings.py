"""The PLC's part of the configuration."""

from pydantic import Field

from core.config import Settings
from runtime.cameras.settings import Address
from runtime.mqtt.settings import Host


class ModbusSettings(Settings):
    """A PLC whose coils are switched by Modbus TCP (pip install '.[modbus]'). They are on while nobody judges."""

    host: Host
    port: int = Field(default=502, ge=1, le=65_535)
    unit: int = Field(default=1, ge=0, le=255)
    heartbeat_register: Address | None = None
    """The holding register, counted from 0, that counts up each second while the station goes round. None: none."""
    timeout_s: float = Field(default=1.0, ge=0.001, le=60)
    """How long the PLC may take to answer before it is connected to again."""
