"""How a broker is spoken with: one connection over MQTT, what it allows, and what it refuses."""
