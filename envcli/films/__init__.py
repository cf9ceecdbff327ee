"""The formats of films: one file for each, found by name."""
