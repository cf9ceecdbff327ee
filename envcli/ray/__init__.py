"""Many envs in the actors of a Ray cluster."""
