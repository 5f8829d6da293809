"""Running something beside the judging thread."""
