"""Films, streams and devices that FFMPEG reads: which of their frames are whole, and which were lost."""
