"""The gateway: what the stations tell over MQTT, for clients that speak OPC UA."""
