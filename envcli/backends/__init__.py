"""Simulators: one file each, found by name, imported by nobody above."""
