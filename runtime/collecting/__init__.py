"""Pictures of good parts from the station's own cameras, before there is a model."""
