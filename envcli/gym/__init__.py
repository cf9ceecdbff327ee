"""Gymnasium's side of things: its ids, its spaces, and what its envs answer."""
