"""Events stay on disk until the broker has them, and what it has taken is kept to be sent again."""
