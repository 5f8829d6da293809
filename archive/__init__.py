"""The archive: millions of pictures judged again with a bundle, and what another bundle would say of them."""

from core.start import command

rejudge = command("archive.cli", "rejudge")
