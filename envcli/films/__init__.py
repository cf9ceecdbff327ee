"""What a film is written to: one file a format, found by name."""
