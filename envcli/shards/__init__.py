"""A rollout on disk in pieces, each whole, and the list of them that a reader trusts."""
