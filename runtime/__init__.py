"""The edge: a bundle and cameras in, events out over MQTT. Knows nothing of training, and runs without torch."""
