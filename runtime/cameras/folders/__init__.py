"""Watched folders: pictures that others put there, each judged once, whole."""
