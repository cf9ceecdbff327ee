"""Where the time of a step goes, and what to change first."""
