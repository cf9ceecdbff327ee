"""Envs that keep nothing: what an episode is stands in the data, and a step is a pure function of it."""
