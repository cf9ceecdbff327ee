"""What a saved rollout can be written as for others to read: one file a format, found by name."""
