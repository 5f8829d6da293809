"""The doctor's check of the PLC: connected to and read as the station would write; nothing is switched."""

from collections.abc import Callable, Collection
from typing import Any

from core.address import host_and_port
from core.errors import PlcError
from runtime.actuator.coils import open_client
from runtime.actuator.settings import ModbusSettings

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS = 1, 2
"""Exception codes of Modbus."""
REMEDIES = {
    ILLEGAL_FUNCTION: "it does not know that function; let it serve coils (and holding registers) over Modbus TCP",
    ILLEGAL_ADDRESS: "it has none at that address; count from 0, and set {key} as the PLC's program has it",
}
OTHER_UNIT = "check `modbus.unit`, and where it is a gateway the device behind it"


def check_plc(settings: ModbusSettings, coils: Collection[int]) -> str:
    """Read every one of `coils` and the heartbeat register.

    Raises PlcError where the PLC cannot be reached, its unit does not answer, or has no such coil or register;
    ConfigError where the package is missing.
    """
    where = host_and_port(settings.host, settings.port)
    with open_client(settings) as client:
        if not client.connect():
            raise PlcError(
                f"{where} does not answer within {settings.timeout_s:g} s; switch it and its Modbus TCP server on, or "
                "check `modbus.host`, `modbus.port`, the cable and the firewall."
            )
        for coil in sorted(coils):
            _read(client.read_coils, coil, settings, f"coil {coil}", "`verdict.coil`")
        if (register := settings.heartbeat_register) is not None:
            _read(client.read_holding_registers, register, settings, f"register {register}", "`heartbeat_register`")
    return f"{where} answers as unit {settings.unit}, and has what is to be switched; nothing was"


def _read(read: Callable[..., Any], address: int, settings: ModbusSettings, what: str, key: str) -> None:
    from pymodbus.exceptions import ModbusException

    where = f"{host_and_port(settings.host, settings.port)}, unit {settings.unit}"
    try:
        answer = read(address, count=1, device_id=settings.unit)
    except (OSError, ModbusException) as error:
        raise PlcError(f"{where}: is connected and gives no answer about {what} ({error}); {OTHER_UNIT}.") from error
    if answer.isError():
        remedy = REMEDIES.get(answer.exception_code, OTHER_UNIT).format(key=key)
        raise PlcError(f"{where}: refuses {what} (Modbus exception {answer.exception_code}); {remedy}.")
