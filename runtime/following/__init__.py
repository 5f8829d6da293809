"""Following stations over MQTT: a client of the broker that is no station itself."""
