"""A rollout on disk, in one piece or many: how it is written, and the list of what is whole that a reader trusts."""
