"""Sparkplug B: the same verdicts as tags, for SCADA systems such as Ignition."""
