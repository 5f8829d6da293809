"""The connection to the broker, and what goes over it."""
