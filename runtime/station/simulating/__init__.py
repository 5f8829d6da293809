"""A station without cameras or a model: parts that are made up, in the events that a real one sends."""
