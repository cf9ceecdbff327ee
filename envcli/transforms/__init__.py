"""Transforms: one file each, found by name."""
