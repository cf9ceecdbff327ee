"""Transforms between an env and the user, bound to the memory on both their sides."""
