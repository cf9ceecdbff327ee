"""Who chooses the actions: one file each, found by name."""
