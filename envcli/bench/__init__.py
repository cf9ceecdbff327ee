"""Measures contenders that do the same work: in turn, each in its own process, with spread and pairwise ratios."""
