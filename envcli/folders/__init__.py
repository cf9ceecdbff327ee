"""Folders of runs: what is in them, who may write there, and JSON that is never half written."""
