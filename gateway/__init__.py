"""The gateway: what the stations tell over MQTT, for clients that speak OPC UA."""

from core.start import command

opcua_gateway = command("gateway.cli", "opcua_gateway")
