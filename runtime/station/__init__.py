"""Everything together: a running inspection."""
