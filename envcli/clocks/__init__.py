"""Clocks around the layers of envcli: where the time of a process goes."""
