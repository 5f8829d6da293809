"""What goes over the connection to the broker: events, from the outbox until acknowledged, and retained topics."""
