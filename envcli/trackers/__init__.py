"""Who else is told how a run went: one file each, found by name."""
