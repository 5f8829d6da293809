"""The fleet: which bundle each station should have, brought there in waves, and taken back by one command."""

from core.start import command

fleet = command("fleet.cli", "fleet")
