"""OpenSpiel's games: which there are, how they are played, and what players see."""
