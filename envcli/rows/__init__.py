"""Rows, the private contract: what an env's specs say of a row, and who may write what into it."""
