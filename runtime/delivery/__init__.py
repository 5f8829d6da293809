"""Events stay on disk until the broker has them."""
