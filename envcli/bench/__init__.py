"""Measures contenders that do the same work: in turn, each in a process of its own, with spread and pairwise ratios."""
