"""From words to a configuration: checks overrides, composes the YAML files, explains what Hydra refuses."""
