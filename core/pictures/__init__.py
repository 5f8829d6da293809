"""Pictures: read whole or not at all, cut, turned and fitted to a network's input."""
