"""Tells whoever rejects parts each verdict as soon as it stands."""
