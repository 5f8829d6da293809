"""What may be asked over MQTT."""
