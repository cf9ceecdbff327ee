"""A backend, a transform and their YAML, for envcli."""
