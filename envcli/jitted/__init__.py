"""Envs that are functions of JAX, compiled for a batch: the libraries' own, and what they have in common."""
