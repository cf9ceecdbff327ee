"""What keeps a rollout: one file each, found by name."""
