"""Worlds as equations: each a handful of pure functions of tensors."""
